/* SPDX-License-Identifier: MIT */
/*
 * Child processes: start, talk, wait, signal. A child is known by a pidfd, so
 * there is no SIGCHLD handler, no signal goes to a stranger, and the program's
 * own children are left alone. A program that takes the status of any child,
 * by wait(2) or by ignoring SIGCHLD, takes these too: then -ECHILD.
 *
 * A handle belongs to the proc that spawned it; its calls return -EXDEV on
 * others. When that proc has ended, it belongs to the next one that uses it,
 * whose call may give -ENOMEM, or -EMFILE; if the two do not have the same
 * descriptor table, the pipes are gone.
 */
#ifndef TUCK_PROCESS_H
#define TUCK_PROCESS_H

#include <sys/types.h>
#include <tuck/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tuck_process;

/* What a child's standard descriptor is, if not one of the caller's. */
enum {
	TUCK_INHERIT = 0,	/* the caller's of the same number */
	TUCK_PIPE = -1,		/* tuck_process_fd() has its other end */
	TUCK_NULL = -2,		/* empty, or a sink */
	TUCK_TO_OUT = -3	/* err only: where out goes */
};

struct tuck_process_attr {
	char *const *env;	/* NULL: the caller's environment */
	const char *cwd;	/* NULL: the caller's directory */
	int in, out, err;	/* one of the above, or a descriptor above 0 */
	const int *fds;		/* the child has these as 3, 4, 5, ... */
	int n_fds;
	int group;		/* not 0: it leads a process group, */
	int session;		/* or a session, of its own */
	/*
	 * Not 0: it is freed, and so killed, when the tasklet that spawned it
	 * ends, in whichever way.
	 */
	int owned;
	size_t output_max;	/* of a run: bytes of out, of err; 0: 16 MiB */
};

/* How a child has ended. */
struct tuck_process_status {
	int code;		/* its exit status; -1: by a signal, */
	int signum;		/* which was this one, or 0 */
	int core_dumped;
};

/*
 * Start a program: argv[0], looked for in PATH if it has no slash. attr is
 * read before the call returns and may be NULL. The child has no other
 * descriptors, an empty signal mask, and every signal at its default. What
 * Tuck made that it is given, a connection or an end of another child's pipe,
 * blocks from then on, as programs expect, but not the calls of this proc.
 * Stops the proc until the program is loaded, as vfork(2).
 * Switches: no.
 * Errors: why it could not be loaded, or cwd not be entered: -ENOENT, -EACCES,
 * -ENOEXEC, ...; -EINVAL, -EBADF for a bad descriptor, -EMFILE, -ENOMEM,
 * -EAGAIN for too many processes, -ENOSYS before Linux 5.4. Then there is no
 * child, and *ret_process is untouched.
 */
int tuck_process_spawn(struct tuck_process **ret_process,
		       const struct tuck_process_attr *attr,
		       char *const argv[]);

/*
 * Its number, the kernel's.
 * Switches: no. Errors: -EINVAL.
 */
pid_t tuck_process_pid(const struct tuck_process *process);

/*
 * The caller's end of the pipe to or from the child's descriptor 0, 1 or 2,
 * for tuck_write() and tuck_read(). It stays the handle's. Writing raises no
 * SIGPIPE.
 * Switches: no. Errors: -EBADF where there is no pipe, or it was closed,
 * -EINVAL, -EXDEV.
 */
int tuck_process_fd(const struct tuck_process *process, int which);

/*
 * Close that end: the child reads the end of its input.
 * Switches: no. Errors: as tuck_process_fd().
 */
int tuck_process_close(struct tuck_process *process, int which);

/*
 * Wait until the child has ended. Any number of tasklets may, and again.
 * ret_status may be NULL.
 * Switches: may.
 * Errors: -ECHILD when its status was taken by others, or it is the child of
 * who called fork(2); -EBADF when it is freed meanwhile, -ETIMEDOUT, -EAGAIN
 * for TUCK_NOWAIT, -EINVAL, -EXDEV.
 */
int tuck_process_wait(struct tuck_process *process,
		      struct tuck_process_status *ret_status, tuck_ns deadline);

/*
 * Send it a signal; one that leads a group or session, all of its group, for
 * as long as nobody has taken its status: then the number may be a stranger's.
 * Who takes it by waitpid(2) must not do so in another thread at that moment.
 * Switches: no. Errors: -ESRCH when it was waited for, -ECHILD after a fork(2),
 * -EINVAL, -EPERM, -EXDEV.
 */
int tuck_process_kill(struct tuck_process *process, int signum);

/*
 * Close its pipes and forget it; NULL is ignored. A child that still runs is
 * killed with SIGKILL, its group too, and its status taken, without a wait:
 * by a thread, if it takes its time; but not in the child of a fork(2). Whoever
 * waits for it gets -EBADF.
 * Switches: no. Errors: none; on another proc it ends this process with a
 * message.
 */
void tuck_process_free(struct tuck_process *process);

/* What a program has written, with a 0 behind it that is not counted. */
struct tuck_process_result {
	struct tuck_process_status status;
	char *out, *err;
	size_t out_bytes, err_bytes;
};

/*
 * Run a program to its end: give it in_bytes of input, which may lie on the
 * caller's stack, and take all its output, both at once. A descriptor that
 * attr does not name is such a pipe here. A program that does not want its
 * input need not read it; one whose children keep its output open has not
 * ended. Input that is left when it and its output have ended is dropped,
 * though a child of its own keeps that open, which Python's communicate()
 * would wait for. After an error, or when the caller is killed or dropped, the
 * program is killed, and nothing of the call is left. The result is the
 * caller's, for tuck_process_result_free().
 * Switches: may.
 * Errors: as tuck_process_spawn() and tuck_process_wait(); -EFBIG for more
 * than attr->output_max of out or err.
 */
int tuck_process_run(const struct tuck_process_attr *attr, char *const argv[],
		     const void *in, size_t in_bytes,
		     struct tuck_process_result *ret_result, tuck_ns deadline);

/*
 * Give the outputs back, and set the result to all 0.
 * Switches: no. Errors: none.
 */
void tuck_process_result_free(struct tuck_process_result *result);

#ifdef __cplusplus
}
#endif

#endif
