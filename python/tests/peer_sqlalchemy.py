# SPDX-License-Identifier: MIT
"""SQLAlchemy's asyncio over aiosqlite, as Debian ships them, on Tuck."""
import unittest

from peer_gevent import need, script

HEAD = """
import asyncio, greenlet, tuck._greenlet
assert greenlet.greenlet is tuck._greenlet.greenlet
from sqlalchemy import Column, ForeignKey, Integer, String, func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import declarative_base, relationship, selectinload
Base = declarative_base()
class User(Base):
    __tablename__ = "users"
    id = Column(Integer, primary_key=True)
    name = Column(String, unique=True)
    posts = relationship("Post", back_populates="user")
class Post(Base):
    __tablename__ = "posts"
    id = Column(Integer, primary_key=True)
    text = Column(String)
    user_id = Column(ForeignKey("users.id"))
    user = relationship("User", back_populates="posts")
async def make():
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as c:
        await c.run_sync(Base.metadata.create_all)
    return engine
"""


class SqlAlchemy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need("sqlalchemy", "aiosqlite")

    def run_async(self, body):
        indented = "\n".join("    " + line for line in body.splitlines())
        script(HEAD + "async def main():\n    engine = await make()\n"
               + indented + "\n    await engine.dispose()\n"
               "asyncio.run(main())\n")

    def test_session_work(self):
        self.run_async("""
async with AsyncSession(engine, expire_on_commit=False) as s:
    async with s.begin():
        s.add_all([User(name=f"u{n}", posts=[Post(text=f"{n}-{i}")
                                             for i in range(3)])
                   for n in range(100)])
    users = (await s.execute(select(User).options(
        selectinload(User.posts)).order_by(User.id))).scalars().all()
    assert [u.name for u in users] == [f"u{n}" for n in range(100)]
    assert all(len(u.posts) == 3 for u in users)
    users[0].name = "other"
    await s.commit()
    await s.refresh(users[0])
    assert users[0].name == "other"
    n = await s.scalar(select(func.count()).select_from(Post))
    assert n == 300
    rows = await s.stream(select(Post.text).order_by(Post.id))
    assert len([r async for r in rows]) == 300
    await s.delete(users[1].posts[0])
    await s.rollback()
""")

    def test_errors_and_lazy_loads(self):
        self.run_async("""
from sqlalchemy.exc import IntegrityError, MissingGreenlet
async with AsyncSession(engine) as s:
    s.add(User(name="a", posts=[Post(text="t")]))
    await s.commit()
    s.add(User(name="a"))
    try: await s.commit()
    except IntegrityError: await s.rollback()
    else: raise SystemExit("no IntegrityError")
    u = (await s.execute(select(User))).scalars().one()
    try: u.posts
    except MissingGreenlet: pass
    else: raise SystemExit("no MissingGreenlet")
    assert await s.run_sync(lambda _: u.posts[0].text) == "t"
""")

    def test_many_tasks(self):
        self.run_async("""
import contextvars
var = contextvars.ContextVar("var")
lock = asyncio.Lock()
async def one(n):
    var.set(n)
    async with lock:
        async with AsyncSession(engine) as s, s.begin():
            s.add(User(name=f"u{n}"))
            def inside(sync):
                assert var.get() == n
                sync.flush()
            await s.run_sync(inside)
    assert var.get() == n
await asyncio.gather(*map(one, range(100)))
async with AsyncSession(engine) as s:
    assert await s.scalar(select(func.count()).select_from(User)) == 100
""")


if __name__ == "__main__":
    unittest.main()
