/* SPDX-License-Identifier: MIT */
/*
 * What libc writes, told to MemorySanitizer: calls that clang 14 does not know,
 * some of which were inline functions of older libcs.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sanitizer/msan_interface.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int status(long r, struct stat *st)
{
	if (r == 0)
		__msan_unpoison(st, sizeof(*st));
	return (int)r;
}

int fstat(int fd, struct stat *st)
{
	return status(syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH), st);
}

int stat(const char *path, struct stat *st)
{
	return status(syscall(SYS_newfstatat, AT_FDCWD, path, st, 0), st);
}

int lstat(const char *path, struct stat *st)
{
	return status(syscall(SYS_newfstatat, AT_FDCWD, path, st,
			      AT_SYMLINK_NOFOLLOW),
		      st);
}

ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	ssize_t r = syscall(SYS_preadv2, fd, iov, n, at, 0, flags);
	size_t left = r > 0 ? (size_t)r : 0;

	for (int i = 0; left > 0; i++) {
		size_t some = left < iov[i].iov_len ? left : iov[i].iov_len;

		__msan_unpoison(iov[i].iov_base, some);
		left -= some;
	}
	return r;
}

int pthread_tryjoin_np(pthread_t thread, void **ret)
{
	int (*libc)(pthread_t, void **), r;

	*(void **)&libc = dlsym(RTLD_NEXT, "pthread_tryjoin_np");
	r = libc(thread, ret);
	if (r == 0 && ret)
		__msan_unpoison(ret, sizeof(*ret));
	return r;
}
