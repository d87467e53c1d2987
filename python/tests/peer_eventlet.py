# SPDX-License-Identifier: MIT
"""Programs of eventlet, as Debian ships it, on Tuck."""
import os
import unittest

from peer_gevent import need, script

# Nothing here asks for a name, and a machine may have nobody to ask.
os.environ["EVENTLET_NO_GREENDNS"] = "yes"


class Eventlet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need("eventlet")

    def test_wsgi(self):
        script("""
            import eventlet, greenlet, tuck._greenlet
            from eventlet import wsgi
            from eventlet.green.http import client
            assert greenlet.greenlet is tuck._greenlet.greenlet
            def app(environ, start_response):
                eventlet.sleep(0)
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [environ["PATH_INFO"].encode()]
            listener = eventlet.listen(("127.0.0.1", 0))
            server = eventlet.spawn(wsgi.server, listener, app,
                                    log_output=False)
            port = listener.getsockname()[1]
            def get(n):
                c = client.HTTPConnection("127.0.0.1", port, timeout=120)
                bodies = []
                for i in range(5):
                    c.request("GET", f"/{n}/{i}")
                    bodies.append(c.getresponse().read().decode())
                c.close()
                return bodies == [f"/{n}/{i}" for i in range(5)]
            pool = eventlet.GreenPool(100)
            assert all(pool.imap(get, range(200)))
            server.kill()
        """)

    def test_pools_queues_timeouts(self):
        script("""
            import eventlet
            from eventlet import queue, timeout, event
            q = queue.LightQueue(3)
            eventlet.spawn(lambda: [q.put(n) for n in range(500)])
            assert [q.get() for _ in range(500)] == list(range(500))
            try:
                with timeout.Timeout(0.01): eventlet.sleep(100)
            except timeout.Timeout: pass
            else: raise SystemExit("no timeout")
            e = event.Event()
            eventlet.spawn(e.send, 4)
            assert e.wait() == 4
            g = eventlet.spawn(eventlet.sleep, 100)
            eventlet.sleep(0)
            g.kill()
            assert g.dead
        """)

    def test_tpool(self):
        script("""
            import eventlet, threading
            from eventlet import tpool
            me = threading.get_ident()
            assert tpool.execute(threading.get_ident) != me
            tpool.killall()
        """)


if __name__ == "__main__":
    unittest.main()
