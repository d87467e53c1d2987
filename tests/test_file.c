/* SPDX-License-Identifier: MIT */
/* Files: each call, and what it leaves when its caller leaves. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "offloads.h"

static char dir[] = "/tmp/tuck-file-XXXXXX";

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		_exit(1);
}

static void use_dir(void)
{
	CHECK(mkdtemp(dir));
	atexit(remove_dir);
}

/* A path in the directory; the last four are kept. */
static const char *in_dir(const char *name)
{
	static char paths[4][PATH_MAX];
	static int i;
	char *path = paths[i++ % 4];

	snprintf(path, PATH_MAX, "%s/%s", dir, name);
	return path;
}

static int open_new(const char *name)
{
	int fd = tuck_file_open(in_dir(name), O_RDWR | O_CREAT | O_EXCL, 0640,
				TUCK_FOREVER);

	CHECK(fd >= 0);
	return fd;
}

static void *filled(size_t n, unsigned seed)
{
	char *data = malloc(n + 1);

	fill(data, n, 0, seed);
	return data;
}

/* -- open -- */

TEST(open_makes_a_file)
{
	struct stat st;
	int fd;

	use_dir();
	umask(0);
	fd = open_new("new");
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0640);
	CHECK_EQ(tuck_fd_close(fd), 0);
	CHECK_EQ(tuck_file_open(in_dir("new"), O_RDWR | O_CREAT | O_EXCL, 0640,
				TUCK_FOREVER),
		 -EEXIST);
}

/* The number was a socket's, which another proc has closed. */
TEST(open_gets_a_number_with_a_past)
{
	int pair[2], fd;
	char c = 0;

	use_dir();
	CHECK_EQ(mkfifo(in_dir("fifo"), 0600), 0);
	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, pair), 0);
	CHECK_EQ(tuck_read(pair[0], &c, 1, 1), -ETIMEDOUT);
	close(pair[0]);
	fd = tuck_file_open(in_dir("fifo"), O_RDWR | O_NONBLOCK, 0, patience());
	CHECK_EQ(fd, pair[0]);
	CHECK_EQ(tuck_write(fd, "x", 1, patience()), 1);
	CHECK_EQ(tuck_read(fd, &c, 1, patience()), 1);
	CHECK_EQ(c, 'x');
}

TEST(open_errors)
{
	CHECK_EQ(tuck_file_open(NULL, O_RDONLY, 0, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_open("/no/such", O_RDONLY, 0, TUCK_FOREVER),
		 -ENOENT);
	CHECK_EQ(tuck_file_open("/", O_RDONLY, 0, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_file_open("/", O_RDONLY, 0, -1), -EINVAL);
}

/* A fifo that nobody writes to: open waits. */
static void open_fifo(void *arg)
{
	*(int *)arg = tuck_file_open(in_dir("fifo"), O_RDONLY, 0, TUCK_FOREVER);
}

TEST(a_descriptor_that_nobody_takes_is_closed)
{
	int fd = 0, before, writer;
	tuck_id id;

	use_dir();
	CHECK_EQ(mkfifo(in_dir("fifo"), 0600), 0);
	before = count_fds();
	id = go(open_fifo, &fd);
	WAIT_FOR(offloads().running == 1);
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	writer = open(in_dir("fifo"), O_WRONLY);
	CHECK(writer >= 0);
	WAIT_FOR(offloads().running == 0);
	close(writer);
	CHECK_EQ(count_fds(), before);
	CHECK_EQ(fd, 0);
	go(open_fifo, &fd);		/* and one that somebody takes */
	WAIT_FOR(offloads().running == 1);
	writer = open(in_dir("fifo"), O_WRONLY);
	WAIT_FOR(fd > 0);
	CHECK_EQ(count_fds(), before + 2);
}

/* -- read and write -- */

/* Of no whole number of pieces. */
#define MUCH ((size_t)3 * 256 * 1024 + 12345)

TEST(write_and_read_back)
{
	char *data = filled(MUCH, 1), *back = filled(MUCH, 2);
	int fd;

	use_dir();
	fd = open_new("data");
	CHECK_EQ(tuck_file_pwrite(fd, data, MUCH, 7, TUCK_FOREVER),
		 (ssize_t)MUCH);
	CHECK_EQ(tuck_file_pread(fd, back, MUCH, 7, TUCK_FOREVER),
		 (ssize_t)MUCH);
	check_filled(back, MUCH, 0, 1);
	CHECK_EQ(tuck_file_pread(fd, back, MUCH, 8, TUCK_FOREVER),
		 (ssize_t)MUCH - 1);
	check_filled(back, MUCH - 1, 1, 1);
	CHECK_EQ(tuck_file_pread(fd, back, 7, 0, TUCK_FOREVER), 7);
	for (int i = 0; i < 7; i++)
		CHECK_EQ(back[i], 0);
	CHECK_EQ(tuck_file_pread(fd, back, 7, 1 << 30, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_file_pread(fd, back, 0, 0, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_file_pwrite(fd, back, 0, 0, TUCK_FOREVER), 0);
	free(data);
	free(back);
}

TEST(write_and_read_where_the_offset_is)
{
	char *data = filled(MUCH, 1), *back = filled(MUCH, 2);
	size_t sum = 0;
	ssize_t r;
	int fd;

	use_dir();
	fd = open_new("data");
	CHECK_EQ(tuck_file_write(fd, data, MUCH, TUCK_FOREVER), (ssize_t)MUCH);
	CHECK_EQ(tuck_file_read(fd, back, 10, TUCK_FOREVER), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	while ((r = tuck_file_read(fd, back + sum, MUCH - sum, TUCK_FOREVER)) >
	       0)
		sum += (size_t)r;
	CHECK_EQ(r, 0);
	CHECK_EQ(sum, MUCH);
	check_filled(back, MUCH, 0, 1);
	free(data);
	free(back);
}

/* Data is on stacks that others use while it is under way. */
static void use_stack_buffers(void *arg)
{
	unsigned seed = (unsigned)(intptr_t)arg;
	char buf[3000], name[20];
	int fd;

	snprintf(name, sizeof(name), "file%u", seed);
	fd = open_new(name);
	for (int i = 0; i < 5; i++) {
		int64_t at = i * (int64_t)sizeof(buf);

		fill(buf, sizeof(buf), (size_t)at, seed);
		CHECK_EQ(tuck_file_pwrite(fd, buf, sizeof(buf), at,
					  TUCK_FOREVER),
			 (ssize_t)sizeof(buf));
	}
	CHECK_EQ(tuck_file_fsync(fd, TUCK_FOREVER), 0);
	for (int i = 0; i < 5; i++) {
		int64_t at = i * (int64_t)sizeof(buf);

		memset(buf, 0, sizeof(buf));
		CHECK_EQ(tuck_file_pread(fd, buf, sizeof(buf), at,
					 TUCK_FOREVER),
			 (ssize_t)sizeof(buf));
		check_filled(buf, sizeof(buf), (size_t)at, seed);
	}
	CHECK_EQ(tuck_fd_close(fd), 0);
}

TEST(buffers_on_a_shared_stack)
{
	tuck_id ids[30];

	share_slots(1);
	use_dir();
	for (int i = 0; i < 30; i++)
		ids[i] = go(use_stack_buffers, (void *)(intptr_t)i);
	for (int i = 0; i < 30; i++)
		finish(ids[i]);
}

/* What no cache has goes through a worker: a pipe. */
static void read_pipe(void *arg)
{
	char buf[100];

	CHECK_EQ(tuck_file_read(*(int *)arg, buf, sizeof(buf), TUCK_FOREVER),
		 5);
	CHECK_MEM(buf, "hello", 5);
	*(int *)arg = -1;
}

TEST(reading_what_is_no_file)
{
	int fd[2], in;

	share_slots(1);
	pipe_pair(fd);
	in = fd[0];
	go(read_pipe, &in);
	WAIT_FOR(offloads().running == 1);
	raw_write(fd[1], "hello", 5);
	WAIT_FOR(in == -1);
	raw_write(fd[1], "hello", 5);	/* and where there is some at once */
	in = fd[0];
	finish(go(read_pipe, &in));
	CHECK_EQ(in, -1);
}

static char late_buf[4];

static void read_late(void *arg)
{
	CHECK_EQ(tuck_file_read(*(int *)arg, late_buf, sizeof(late_buf),
				tuck_after(TUCK_MS(20))),
		 -ETIMEDOUT);
	*(int *)arg = -1;
}

TEST(a_late_reader_s_buffer_is_its_own)
{
	int fd[2], in;

	pipe_pair(fd);
	in = fd[0];
	go(read_late, &in);
	WAIT_FOR(in == -1);
	raw_write(fd[1], "xyz", 3);
	WAIT_FOR(offloads().running == 0);
	CHECK_MEM(late_buf, "\0\0\0\0", 4);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void read_in_vain(void *arg)
{
	char buf[4];

	CHECK_EQ(tuck_file_read(*(int *)arg, buf, sizeof(buf), TUCK_FOREVER),
		 -ECANCELED);
}

/* The nth call that runs goes on, for nobody. */
static void leave_read(int fd, uint64_t nth)
{
	tuck_id id = go(read_in_vain, &fd);

	WAIT_FOR(offloads().running == nth);
	CHECK_EQ(tuck_cancel(id), 0);
	finish(id);
}

/* Else the one at work would act on what has the number next. */
TEST(a_late_call_keeps_its_number)
{
	int fd[2], next;

	pipe_pair(fd);
	leave_read(fd[0], 1);
	leave_read(fd[0], 2);
	CHECK_EQ(offloads().running, 2);
	CHECK_EQ(tuck_fd_close(fd[0]), 0);
	CHECK(is_open(fd[0]));
	next = open("/dev/null", O_RDWR | O_CLOEXEC);
	CHECK(next >= 0 && next != fd[0]);
	raw_write(fd[1], "xyz", 3);
	WAIT_FOR(offloads().running == 1);
	CHECK(is_open(fd[0]));
	raw_write(fd[1], "xyz", 3);
	WAIT_FOR(offloads().running == 0);
	WAIT_FOR(!is_open(fd[0]));
	CHECK_EQ(tuck_fd_close(next), 0);
	CHECK(!is_open(next));
}

#define PIECE ((size_t)256 * 1024)	/* file.h */

static void write_three_pieces(void *arg)
{
	char *data = filled(3 * PIECE, 1);

	CHECK_EQ(tuck_file_write(*(int *)arg, data, 3 * PIECE, patience()),
		 PIECE);
	free(data);
}

/* No tasklet runs between the end of that call and the next file. */
static void give_number_to(const char *path, int number)
{
	int fd;

	while (is_open(number))
		usleep(100);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK_EQ(fd, number);
}

/* Else the rest would go into what has the number next. */
TEST(a_transfer_ends_with_its_descriptor)
{
	char *data = malloc(PIECE);
	int fd[2], number;
	struct stat st;
	tuck_id id;

	use_dir();
	pipe_pair(fd);
	number = fd[1];
	id = go(write_three_pieces, &number);
	WAIT_FOR(offloads().running == 1);
	CHECK_EQ(tuck_fd_close(number), 0);
	for (size_t n = 0; n < PIECE; n += (size_t)read(fd[0], data, PIECE - n))
		;
	give_number_to(in_dir("next"), number);
	finish(id);
	no_call_is_left();
	CHECK_EQ(fstat(number, &st), 0);
	CHECK_EQ(st.st_size, 0);
	free(data);
}

static int refused;

static void write_in_vain(void *arg)
{
	CHECK_EQ(tuck_file_write(*(int *)arg, "x", 1, patience()), -EBADF);
	refused++;
}

static void stat_in_vain(void *arg)
{
	struct tuck_file_info info = { .inode = 77 };

	CHECK_EQ(tuck_file_fstat(*(int *)arg, &info, patience()), -EBADF);
	CHECK_EQ(info.inode, 77);
	refused++;
}

static void sync_others(void *arg)
{
	CHECK_EQ(tuck_file_fsync(*(int *)arg, patience()), 0);
}

/* Else they would act on what has the number next. */
TEST(queued_calls_end_with_their_descriptor)
{
	int fd, other, next;
	struct tuck_offload_stats before;
	tuck_id in_time;
	struct stat st;

	use_dir();
	fd = open_new("a");
	other = open_new("b");
	close_gate();
	before = offloads();
	go(write_in_vain, &fd);
	in_time = go(sync_others, &other);
	go(write_in_vain, &fd);
	go(stat_in_vain, &fd);
	WAIT_FOR(offloads().queued == 4);
	CHECK_EQ(tuck_fd_close(fd), 0);
	CHECK_EQ(offloads().queued, 1);
	CHECK_EQ(offloads().withdrawn, before.withdrawn + 3);
	next = open(in_dir("next"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK_EQ(next, fd);
	WAIT_FOR(refused == 3);
	open_gate();
	finish(in_time);
	no_call_is_left();
	CHECK_EQ(fstat(next, &st), 0);
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(tuck_fd_close(next), 0);
	CHECK(!is_open(next));
}

/* The number is that proc's, too. */
TEST(queued_calls_of_other_procs_end_with_their_descriptor)
{
	int fd, proc;

	use_dir();
	fd = open_new("a");
	close_gate();
	proc = tuck_proc_start(NULL, write_in_vain, &fd);
	CHECK(proc >= 0);
	WAIT_FOR(offloads().queued == 1);
	CHECK_EQ(tuck_fd_close(fd), 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	CHECK_EQ(refused, 1);
	open_gate();
	no_call_is_left();
}

static void read_byte(void *arg)
{
	char byte;

	CHECK_EQ(tuck_file_read(*(int *)arg, &byte, 1, patience()), 1);
}

static void read_twice(void *arg)
{
	go(read_byte, arg);
	read_byte(arg);
}

/* A table of one's own has the same number for something else. */
TEST(queued_calls_of_another_table_go_on)
{
	int fd[2], proc, kept;
	struct tuck_proc_attr attr = { .own_fds = 1, .fds = fd, .n_fds = 1 };

	pipe_pair(fd);
	kept = fd[0];
	NOT_UNDER_TSAN("it takes tables for one");
	CHECK_EQ(tuck_offload_limit(1, 0), 0);
	proc = tuck_proc_start(&attr, read_twice, &kept);
	CHECK(proc >= 0);
	WAIT_FOR(offloads().running == 1 && offloads().queued == 1);
	CHECK_EQ(tuck_fd_close(kept), 0);
	CHECK(!is_open(kept));
	raw_write(fd[1], "xy", 2);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}

TEST(a_late_call_that_never_ran_keeps_no_number)
{
	int fd[2], in;

	pipe_pair(fd);
	close_gate();
	in = fd[0];
	go(read_late, &in);
	WAIT_FOR(in == -1);
	CHECK_EQ(tuck_fd_close(fd[0]), 0);
	CHECK(!is_open(fd[0]));
	open_gate();
	no_call_is_left();
}

/* The child has nobody who would close it later. */
TEST(a_late_call_is_gone_in_a_fork_s_child)
{
	int fd[2], status;
	pid_t pid;

	NOT_UNDER_SANITIZERS("a thread may have their locks");
	pipe_pair(fd);
	leave_read(fd[0], 1);
	CHECK_EQ(tuck_fd_close(fd[0]), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(is_open(fd[0]));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK(is_open(fd[0]));
	raw_write(fd[1], "xyz", 3);
	WAIT_FOR(!is_open(fd[0]));
}

static atomic_int left_one;

static void leave_and_close(void *arg)
{
	int fd = *(int *)arg;

	leave_read(fd, 1);
	CHECK_EQ(tuck_fd_close(fd), 0);
	atomic_store(&left_one, 1);
}

/* There the number is not of the child's table. */
TEST(a_late_call_of_another_table_closes_nothing_in_a_child)
{
	int fd[2], proc, status;
	struct tuck_proc_attr attr = { .own_fds = 1, .fds = fd, .n_fds = 1 };
	pid_t pid;

	NOT_UNDER_SANITIZERS("a thread may have their locks");
	pipe_pair(fd);
	proc = tuck_proc_start(&attr, leave_and_close, fd);
	CHECK(proc >= 0);
	WAIT_FOR(atomic_load(&left_one) == 1);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(!is_open(fd[0]));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	raw_write(fd[1], "xyz", 3);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}

static char short_buf[8] = "zzzzzzz";

static void read_short(void *arg)
{
	CHECK_EQ(tuck_file_read(*(int *)arg, short_buf, sizeof(short_buf),
				TUCK_FOREVER),
		 3);
	*(int *)arg = -1;
}

TEST(a_short_read_writes_no_further)
{
	int fd[2], in;

	pipe_pair(fd);
	in = fd[0];
	go(read_short, &in);
	WAIT_FOR(offloads().running == 1);
	raw_write(fd[1], "abc", 3);
	WAIT_FOR(in == -1);
	CHECK_MEM(short_buf, "abczzzz", 8);
}

static uint64_t calls_so_far(void)
{
	struct tuck_offload_stats s = offloads();

	return s.queued + s.running + s.ended + s.withdrawn;
}

TEST(what_is_cached_needs_no_thread)
{
	char data[64], buf[64];
	struct iovec iov = { buf, sizeof(buf) };
	uint64_t before;
	int fd;

	use_dir();
	fd = open_new("data");
	fill(data, sizeof(data), 0, 3);
	raw_write(fd, data, sizeof(data));
	if (preadv2(fd, &iov, 1, 0, RWF_NOWAIT) != sizeof(buf))
		SKIP("a file system without RWF_NOWAIT");
	WAIT_FOR(offloads().running == 0);	/* it counts twice till then */
	before = calls_so_far();
	for (int i = 0; i < 2; i++) {
		tuck_ns deadline = i ? TUCK_FOREVER : TUCK_NOWAIT;

		memset(buf, 0, sizeof(buf));
		CHECK_EQ(tuck_file_pread(fd, buf, 60, 4, deadline), 60);
		CHECK_MEM(buf, data + 4, 60);
		CHECK_EQ(lseek(fd, 8, SEEK_SET), 8);
		CHECK_EQ(tuck_file_read(fd, buf, 56, deadline), 56);
		CHECK_MEM(buf, data + 8, 56);
	}
	CHECK(calls_so_far() == before);
}

TEST(read_and_write_errors)
{
	char byte = 0;
	int fd, pipe_fd[2];

	use_dir();
	fd = open_new("data");
	pipe_pair(pipe_fd);
	CHECK_EQ(tuck_file_pread(fd, NULL, 1, 0, TUCK_FOREVER), -EFAULT);
	CHECK_EQ(tuck_file_read(fd, NULL, 1, TUCK_FOREVER), -EFAULT);
	CHECK_EQ(tuck_file_pwrite(fd, NULL, 1, 0, TUCK_FOREVER), -EFAULT);
	CHECK_EQ(tuck_file_write(fd, NULL, 1, TUCK_FOREVER), -EFAULT);
	CHECK_EQ(tuck_file_write(fd, NULL, 0, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_file_read(fd, NULL, 0, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_file_pread(fd, &byte, 1, -1, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_pwrite(fd, &byte, 1, -1, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_pread(fd, &byte, 1, 0, -1), -EINVAL);
	CHECK_EQ(tuck_file_pwrite(fd, &byte, 1, 0, -1), -EINVAL);
	CHECK_EQ(tuck_file_pread(-1, &byte, 1, 0, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_file_pread(-1, &byte, 0, 0, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_file_pwrite(-1, &byte, 1, 0, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_file_pwrite(fd, &byte, 1, 0, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_file_pread(pipe_fd[0], &byte, 1, 0, TUCK_FOREVER),
		 -ESPIPE);
	close(pipe_fd[0]);
	CHECK_EQ(tuck_file_write(pipe_fd[1], &byte, 1, TUCK_FOREVER), -EPIPE);
	CHECK_EQ(tuck_file_fsync(-1, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_file_fdatasync(-1, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_file_truncate(-1, 0, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_file_truncate(fd, -1, TUCK_FOREVER), -EINVAL);
}

TEST(a_write_without_room_says_how_much_there_was)
{
	struct rlimit limit = { MUCH - 1000, MUCH - 1000 };
	char *data = filled(MUCH, 1);
	int fd;

	use_dir();
	fd = open_new("data");
	signal(SIGXFSZ, SIG_IGN);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CHECK_EQ(tuck_file_pwrite(fd, data, MUCH, 0, TUCK_FOREVER),
		 (ssize_t)MUCH - 1000);
	CHECK_EQ(tuck_file_pwrite(fd, data, 1, MUCH, TUCK_FOREVER), -EFBIG);
	free(data);
}

/* What was synced: descriptors' inodes and the call, in order. */
static struct {
	ino_t inode;
	char call;
	bool on_main;
} synced[8];

static atomic_int n_synced;
static pthread_t main_thread;

static int note_sync(int fd, char call)
{
	int i = atomic_fetch_add(&n_synced, 1);
	struct stat st;

	if (i < 8 && fstat(fd, &st) == 0) {
		synced[i].inode = st.st_ino;
		synced[i].call = call;
		synced[i].on_main = pthread_equal(pthread_self(), main_thread);
	}
	return (int)syscall(call == 'f' ? SYS_fsync : SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return note_sync(fd, 'f');
}

int fdatasync(int fd)
{
	return note_sync(fd, 'd');
}

static void check_synced(int i, char call, ino_t inode)
{
	CHECK(n_synced > i);
	CHECK_EQ(synced[i].call, call);
	CHECK_EQ(synced[i].inode, inode);
	CHECK(!synced[i].on_main);
}

static ino_t inode_of(const char *path)
{
	struct stat st;

	CHECK_EQ(stat(path, &st), 0);
	return st.st_ino;
}

TEST(syncs_are_asked_of_the_kernel_by_a_worker)
{
	int fd;

	main_thread = pthread_self();
	use_dir();
	fd = open_new("data");
	CHECK_EQ(tuck_file_fsync(fd, TUCK_FOREVER), 0);
	CHECK_EQ(n_synced, 1);
	check_synced(0, 'f', inode_of(in_dir("data")));
	CHECK_EQ(tuck_file_fdatasync(fd, TUCK_FOREVER), 0);
	CHECK_EQ(n_synced, 2);
	check_synced(1, 'd', inode_of(in_dir("data")));
}

/* The file, then the folder that has its name. */
TEST(a_save_syncs_the_file_and_its_folder)
{
	main_thread = pthread_self();
	use_dir();
	CHECK_EQ(tuck_file_save(in_dir("it"), "x", 1, 0600, TUCK_FOREVER), 0);
	CHECK_EQ(n_synced, 2);
	check_synced(0, 'f', inode_of(in_dir("it")));
	check_synced(1, 'f', inode_of(dir));
	CHECK_EQ(chdir(dir), 0);
	CHECK_EQ(tuck_file_save("here", "x", 1, 0600, TUCK_FOREVER), 0);
	CHECK_EQ(n_synced, 4);
	check_synced(2, 'f', inode_of("here"));
	check_synced(3, 'f', inode_of(dir));
}

TEST(sync_and_truncate)
{
	struct stat st;
	int fd;

	use_dir();
	fd = open_new("data");
	CHECK_EQ(tuck_file_truncate(fd, 1000, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_file_fdatasync(fd, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_file_fsync(fd, TUCK_FOREVER), 0);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, 1000);
}

/* -- names -- */

static void check_info(const struct tuck_file_info *info, const struct stat *st)
{
	CHECK_EQ(info->device, st->st_dev);
	CHECK_EQ(info->inode, st->st_ino);
	CHECK_EQ(info->links, st->st_nlink);
	CHECK_EQ(info->size, st->st_size);
	CHECK_EQ(info->used, st->st_blocks * 512);
	CHECK_EQ(info->mode, st->st_mode);
	CHECK_EQ(info->user, st->st_uid);
	CHECK_EQ(info->group, st->st_gid);
	CHECK_EQ(info->accessed / TUCK_SEC(1), st->st_atime);
	CHECK_EQ(info->modified / TUCK_SEC(1), st->st_mtime);
	CHECK_EQ(info->modified % TUCK_SEC(1), st->st_mtim.tv_nsec);
	CHECK_EQ(info->changed / TUCK_SEC(1), st->st_ctime);
}

TEST(stat_tells_what_the_kernel_knows)
{
	struct tuck_file_info info = { 0 };
	struct stat st;
	int fd;

	use_dir();
	fd = open_new("data");
	CHECK_EQ(tuck_file_write(fd, "12345", 5, TUCK_FOREVER), 5);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(tuck_file_fstat(fd, &info, TUCK_FOREVER), 0);
	check_info(&info, &st);
	CHECK_EQ(info.size, 5);
	CHECK_EQ(symlink("data", in_dir("link")), 0);
	CHECK_EQ(tuck_file_stat(in_dir("link"), &info, TUCK_FOREVER), 0);
	check_info(&info, &st);
	CHECK_EQ(lstat(in_dir("link"), &st), 0);
	CHECK_EQ(tuck_file_lstat(in_dir("link"), &info, TUCK_FOREVER), 0);
	check_info(&info, &st);
	CHECK(S_ISLNK(info.mode));
}

TEST(stat_errors_leave_the_result)
{
	struct tuck_file_info info = { .size = 77 };

	CHECK_EQ(tuck_file_stat("/no/such", &info, TUCK_FOREVER), -ENOENT);
	CHECK_EQ(tuck_file_lstat("/no/such", &info, TUCK_FOREVER), -ENOENT);
	CHECK_EQ(tuck_file_fstat(-1, &info, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_file_stat(NULL, &info, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_stat("/", NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_lstat(NULL, &info, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_fstat(0, NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(info.size, 77);
}

TEST(names_change)
{
	struct stat st;

	use_dir();
	umask(0);
	CHECK_EQ(tuck_file_mkdir(in_dir("sub"), 0750, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_file_mkdir(in_dir("sub"), 0750, TUCK_FOREVER), -EEXIST);
	CHECK_EQ(stat(in_dir("sub"), &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0750);
	tuck_fd_close(open_new("a"));
	CHECK_EQ(tuck_file_rename(in_dir("a"), in_dir("sub/b"), TUCK_FOREVER),
		 0);
	CHECK(stat(in_dir("a"), &st) < 0 && stat(in_dir("sub/b"), &st) == 0);
	CHECK_EQ(tuck_file_rename(in_dir("a"), in_dir("b"), TUCK_FOREVER),
		 -ENOENT);
	CHECK_EQ(tuck_file_rmdir(in_dir("sub"), TUCK_FOREVER), -ENOTEMPTY);
	CHECK_EQ(tuck_file_unlink(in_dir("sub/b"), TUCK_FOREVER), 0);
	CHECK_EQ(tuck_file_unlink(in_dir("sub/b"), TUCK_FOREVER), -ENOENT);
	CHECK_EQ(tuck_file_rmdir(in_dir("sub"), TUCK_FOREVER), 0);
	CHECK(stat(in_dir("sub"), &st) < 0);
	CHECK_EQ(tuck_file_rename(NULL, "x", TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_rename("x", NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_unlink(NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_mkdir(NULL, 0, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_rmdir(NULL, TUCK_FOREVER), -EINVAL);
}

/* -- directories -- */

TEST(a_directory_is_listed_in_order)
{
	struct tuck_dir *list = NULL;
	char name[64];
	struct stat st;

	use_dir();
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "a-rather-long-name-%d", i * 7);
		CHECK_EQ(close(open(in_dir(name), O_CREAT | O_WRONLY, 0600)),
			 0);
	}
	CHECK_EQ(mkdir(in_dir("zz"), 0700), 0);
	CHECK_EQ(tuck_dir_read(dir, &list, TUCK_FOREVER), 0);
	CHECK_EQ(list->n, 301);
	for (size_t i = 0; i < list->n; i++) {
		CHECK_EQ(stat(in_dir(list->entries[i].name), &st), 0);
		CHECK_EQ(list->entries[i].inode, st.st_ino);
		if (i > 0)
			CHECK(strcmp(list->entries[i - 1].name,
				     list->entries[i].name) < 0);
	}
	CHECK_EQ(list->entries[0].type, DT_REG);
	CHECK_EQ(list->entries[300].type, DT_DIR);
	CHECK_STR(list->entries[300].name, "zz");
	tuck_dir_free(list);
}

TEST(an_empty_directory_and_none)
{
	struct tuck_dir *list = NULL, *kept;

	use_dir();
	CHECK_EQ(tuck_dir_read(dir, &list, TUCK_FOREVER), 0);
	CHECK_EQ(list->n, 0);
	kept = list;
	CHECK_EQ(tuck_dir_read(in_dir("none"), &list, TUCK_FOREVER), -ENOENT);
	CHECK_EQ(tuck_dir_read("/proc/self/exe", &list, TUCK_FOREVER),
		 -ENOTDIR);
	CHECK_EQ(tuck_dir_read(NULL, &list, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_dir_read(dir, NULL, TUCK_FOREVER), -EINVAL);
	CHECK(list == kept);
	tuck_dir_free(list);
	tuck_dir_free(NULL);
}

/* -- whole files -- */

static void check_file(const char *path, size_t n, unsigned seed)
{
	void *data = NULL;

	CHECK_EQ(tuck_file_load(path, n, &data, TUCK_FOREVER), (ssize_t)n);
	check_filled(data, n, 0, seed);
	CHECK_EQ(((char *)data)[n], 0);
	free(data);
}

TEST(save_and_load)
{
	const size_t sizes[] = { 0, 1, 4095, 4096, 4097, MUCH };
	struct tuck_dir *list;
	struct stat st;

	use_dir();
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *data = filled(sizes[i], i);

		CHECK_EQ(tuck_file_save(in_dir("it"), data, sizes[i], 0600 | i,
					TUCK_FOREVER),
			 0);
		free(data);
		check_file(in_dir("it"), sizes[i], i);
		CHECK_EQ(stat(in_dir("it"), &st), 0);
		CHECK_EQ(st.st_mode & 0777, 0600 | i);
	}
	CHECK_EQ(tuck_dir_read(dir, &list, TUCK_FOREVER), 0);
	CHECK_EQ(list->n, 1);		/* no temporary file is left */
	tuck_dir_free(list);
}

TEST(save_in_the_working_directory)
{
	use_dir();
	CHECK_EQ(chdir(dir), 0);
	CHECK_EQ(tuck_file_save("here", "", 0, 0600, TUCK_FOREVER), 0);
	check_file(in_dir("here"), 0, 0);
}

TEST(load_what_has_no_size)
{
	char here[20000];
	int fd = open("/proc/self/maps", O_RDONLY);
	size_t n = 0;
	void *data;
	ssize_t r;

	r = tuck_file_load("/proc/self/maps", 1 << 20, &data, TUCK_FOREVER);
	CHECK(r > 100);
	while ((r = read(fd, here + n, sizeof(here) - n)) > 0)
		n += (size_t)r;
	close(fd);
	CHECK(strstr(data, "test_file"));
	CHECK(strstr(data, "[stack]"));
	free(data);
}

TEST(load_errors)
{
	void *data = &data;
	char *much = filled(MUCH, 1);

	use_dir();
	CHECK_EQ(tuck_file_save(in_dir("it"), much, MUCH, 0600, TUCK_FOREVER),
		 0);
	free(much);
	CHECK_EQ(tuck_file_load(in_dir("it"), MUCH - 1, &data, TUCK_FOREVER),
		 -EFBIG);
	CHECK_EQ(tuck_file_load("/proc/self/maps", 10, &data, TUCK_FOREVER),
		 -EFBIG);
	CHECK_EQ(tuck_file_load("/dev/zero", 5000, &data, TUCK_FOREVER),
		 -EFBIG);
	CHECK_EQ(tuck_file_load(in_dir("none"), 10, &data, TUCK_FOREVER),
		 -ENOENT);
	CHECK_EQ(tuck_file_load(dir, 1 << 20, &data, TUCK_FOREVER), -EISDIR);
	CHECK_EQ(tuck_file_load(NULL, 10, &data, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_load(dir, 10, NULL, TUCK_FOREVER), -EINVAL);
	CHECK(data == &data);
}

TEST(a_save_that_fails_leaves_the_old_file)
{
	struct rlimit limit = { 5000, 5000 };
	char *data = filled(MUCH, 1);
	struct tuck_dir *list;

	use_dir();
	CHECK_EQ(tuck_file_save(in_dir("it"), data, 4000, 0600, TUCK_FOREVER),
		 0);
	signal(SIGXFSZ, SIG_IGN);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CHECK_EQ(tuck_file_save(in_dir("it"), data, MUCH, 0600, TUCK_FOREVER),
		 -EFBIG);
	free(data);
	check_file(in_dir("it"), 4000, 1);
	CHECK_EQ(tuck_dir_read(dir, &list, TUCK_FOREVER), 0);
	CHECK_EQ(list->n, 1);
	tuck_dir_free(list);
	CHECK_EQ(tuck_file_save(dir, "x", 1, 0600, TUCK_FOREVER), -EISDIR);
	CHECK_EQ(tuck_file_save(in_dir("no/no"), "x", 1, 0600, TUCK_FOREVER),
		 -ENOENT);
	CHECK_EQ(tuck_file_save(NULL, "x", 1, 0600, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_file_save(dir, NULL, 1, 0600, TUCK_FOREVER), -EINVAL);
}

static void save_much(void *arg)
{
	char *data = arg;

	tuck_file_save(in_dir("it"), data, MUCH, 0600, TUCK_FOREVER);
}

TEST(a_killed_save_is_whole_or_not_at_all)
{
	char *data = filled(MUCH, 5);
	uint64_t ended;
	tuck_id id;

	use_dir();
	CHECK_EQ(tuck_file_save(in_dir("it"), data, 100, 0600, TUCK_FOREVER),
		 0);
	close_gate();
	id = go(save_much, data);	/* queued: not at all */
	WAIT_FOR(offloads().queued == 1);
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	open_gate();
	WAIT_FOR(offloads().running == 0);
	check_file(in_dir("it"), 100, 5);
	WAIT_FOR(offloads().running == 0);
	ended = offloads().ended;
	id = go(save_much, data);	/* it runs, and so to its end */
	while (offloads().running == 0 && offloads().ended == ended)
		tuck_yield();
	tuck_kill(id);
	free(data);
	finish(id);
	WAIT_FOR(offloads().running == 0);
	check_file(in_dir("it"), MUCH, 5);
}

/* -- a listing or a file that nobody takes -- */

static void list_and_load(void *arg)
{
	struct tuck_dir *list;
	void *data;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		if (tuck_dir_read(dir, &list, tuck_after(TUCK_US(50))) == 0)
			tuck_dir_free(list);
		if (tuck_file_load(in_dir("it"), MUCH, &data,
				   tuck_after(TUCK_US(50))) >= 0)
			free(data);
	}
}

TEST(results_that_nobody_takes_are_freed)
{
	char *data = filled(10000, 1);
	tuck_id ids[50];

	use_dir();
	CHECK_EQ(tuck_file_save(in_dir("it"), data, 10000, 0600, TUCK_FOREVER),
		 0);
	free(data);
	for (int i = 0; i < 50; i++)
		ids[i] = go(list_and_load, NULL);
	for (int i = 0; i < 50; i++) {
		tuck_sleep(tuck_after(TUCK_US(30)));
		if (i % 3 == 0)
			tuck_kill(ids[i]);
	}
	for (int i = 0; i < 50; i++)
		finish(ids[i]);
	WAIT_FOR(offloads().running == 0);	/* LeakSanitizer looks */
}
