/* SPDX-License-Identifier: MIT */
/*
 * Files. The kernel has no "not yet" for them: a call that waits for a disk
 * stops its thread, so these are offloaded (offload.h) and only the calling
 * tasklet waits. All that is said there of deadlines, kills and cancels holds:
 * a call that has begun is done to its end, though nobody may learn of it, and
 * what such an open brings is closed.
 *
 * Paths and data are copied, so they may lie on a tasklet's stack. Data goes
 * through the heap in pieces of at most 256 KiB, also to and from the heap,
 * for a caller that is late or killed may free its buffer while the disk is
 * still at work. What the page cache has, tuck_file_pread() and
 * tuck_file_read() take from there without a thread, straight into the buffer
 * (RWF_NOWAIT of preadv2(2), where the file system has it).
 *
 * A descriptor is closed by tuck_fd_close(), which may wait for what was not
 * synced: then tuck_file_fsync() first. Calls that wait for a thread end with
 * -EBADF then, of any proc that has the descriptor. One that is at work on it,
 * even if its caller was late or killed, goes on to its end, and keeps the
 * number from others until then; no further piece follows it, unless another
 * proc has closed the descriptor. A null buffer is -EFAULT. Every call here:
 * Errors: what its namesake of section 2 of the manual says, and as
 * tuck_offload().
 */
#ifndef TUCK_FILE_H
#define TUCK_FILE_H

#include <sys/types.h>
#include <tuck/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Open a file as open(2), with O_CLOEXEC besides. Returns the descriptor.
 * Switches: always. Errors: as above; -EINVAL for NULL.
 */
int tuck_file_open(const char *path, int flags, unsigned mode,
		   tuck_ns deadline);

/*
 * Read n bytes from offset on, fewer at the end of the file. What buf held
 * before is not kept if the call waits, as with tuck_read(). An error after
 * some bytes returns their number. With TUCK_NOWAIT it takes what is cached.
 * Switches: may. Errors: as above; -EINVAL for an offset below 0.
 */
ssize_t tuck_file_pread(int fd, void *buf, size_t n, int64_t offset,
			tuck_ns deadline);

/*
 * Write n bytes from offset on. Returns n, or how many there was room for.
 * Pieces are written one after the other: an error after the first one returns
 * the number of bytes up to it. Of a piece whose caller was late or cancelled
 * it is not known whether it is written.
 * Switches: may. Errors: as above; -EINVAL for an offset below 0.
 */
ssize_t tuck_file_pwrite(int fd, const void *buf, size_t n, int64_t offset,
			 tuck_ns deadline);

/*
 * Read from the descriptor's own offset on, which moves, also by a call whose
 * caller has left; or from what has none, as standard input. It may return
 * fewer bytes than there are, as read(2).
 * Switches: may. Errors: as above.
 */
ssize_t tuck_file_read(int fd, void *buf, size_t n, tuck_ns deadline);

/*
 * Write there, or to the end of what was opened with O_APPEND; the rest as
 * tuck_file_pwrite().
 * Switches: may. Errors: as above.
 */
ssize_t tuck_file_write(int fd, const void *buf, size_t n, tuck_ns deadline);

/*
 * Have what was written on the disk.
 * Switches: always. Errors: as above.
 */
int tuck_file_fsync(int fd, tuck_ns deadline);

/*
 * The same for its data, without times and what else reading it needs not.
 * Switches: always. Errors: as above.
 */
int tuck_file_fdatasync(int fd, tuck_ns deadline);

/*
 * Cut a file, or lengthen it with zeros.
 * Switches: always. Errors: as above.
 */
int tuck_file_truncate(int fd, int64_t size, tuck_ns deadline);

/* What stat(2) tells; times are nanoseconds since 1970. */
struct tuck_file_info {
	uint64_t device, inode, links;
	uint64_t size, used;	/* bytes, and those of its blocks */
	uint32_t mode;		/* S_ISDIR(mode), and so on */
	uint32_t user, group;
	tuck_ns accessed, modified, changed;
};

/*
 * What is known of an open file.
 * Switches: always. Errors: as above; -EINVAL for NULL.
 */
int tuck_file_fstat(int fd, struct tuck_file_info *ret_info, tuck_ns deadline);

/*
 * What is known of the file of a name.
 * Switches: always. Errors: as above; -EINVAL for NULL.
 */
int tuck_file_stat(const char *path, struct tuck_file_info *ret_info,
		   tuck_ns deadline);

/*
 * The same, but of a symbolic link itself.
 * Switches: always. Errors: as above; -EINVAL for NULL.
 */
int tuck_file_lstat(const char *path, struct tuck_file_info *ret_info,
		    tuck_ns deadline);

/*
 * Give a file another name, in place of what had it.
 * Switches: always. Errors: as above; -EINVAL for NULL.
 */
int tuck_file_rename(const char *from, const char *to, tuck_ns deadline);

/*
 * Take a name of a file away.
 * Switches: always. Errors: as above; -EINVAL for NULL.
 */
int tuck_file_unlink(const char *path, tuck_ns deadline);

/*
 * Make a directory, less what umask(2) takes from mode.
 * Switches: always. Errors: as above; -EINVAL for NULL.
 */
int tuck_file_mkdir(const char *path, unsigned mode, tuck_ns deadline);

/*
 * Remove an empty directory.
 * Switches: always. Errors: as above; -EINVAL for NULL.
 */
int tuck_file_rmdir(const char *path, tuck_ns deadline);

struct tuck_dir_entry {
	const char *name;
	uint64_t inode;
	int type;	/* DT_REG, DT_DIR, ... of readdir(3), or DT_UNKNOWN */
};

/* A directory as it was read, with all names one block of memory. */
struct tuck_dir {
	size_t n;
	const struct tuck_dir_entry *entries;
};

/*
 * List a directory, without "." and "..", in the order of strcmp(3). The
 * listing is the caller's, to be given to tuck_dir_free().
 * Switches: always. Errors: as above; -EINVAL for NULL.
 */
int tuck_dir_read(const char *path, struct tuck_dir **ret_dir,
		  tuck_ns deadline);

/*
 * Free a listing; NULL is none.
 * Switches: no. Errors: none.
 */
void tuck_dir_free(struct tuck_dir *dir);

/*
 * Read a whole file of at most max bytes into memory that the caller frees by
 * free(3). Returns its number of bytes; one more is there, which is 0. The
 * file may have no size, as those of /proc.
 * Switches: always. Errors: as above; -EFBIG for more than max; -EINVAL for
 * NULL.
 */
ssize_t tuck_file_load(const char *path, size_t max, void **ret_data,
		       tuck_ns deadline);

/*
 * Make a file with just these n bytes, or replace it, so that whoever opens it
 * finds the old one or the new one, also after a power cut: a file with a name
 * of its own (path and six characters) in the same directory is written,
 * synced and renamed. mode is taken as chmod(2) does, regardless of umask(2).
 * Where a link was, there is a file then. A caller that leaves cannot tear it
 * in two: it is all done, or nothing; that takes n bytes of the heap.
 * Switches: always. Errors: as above, of each step; then the file is as it
 * was, unless the last sync, that of the directory, failed; -EINVAL for NULL.
 */
int tuck_file_save(const char *path, const void *data, size_t n, unsigned mode,
		   tuck_ns deadline);

#ifdef __cplusplus
}
#endif

#endif
