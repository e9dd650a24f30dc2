/* A disk that does as it is told: loaded before the C library, under which everything that is written goes through here.
 * What is below the directory $TEST_DISK cannot be written while the file "$TEST_DISK.read-only" is there, is not synced
 * while "$TEST_DISK.sync-fails" is, and is synced no sooner than "$TEST_DISK.sync-hangs" is gone. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int told(const char *what) {
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", getenv("TEST_DISK"), what);
    return access(path, F_OK) == 0;
}

static int is_ours(int fd) {
    char link[64], path[4096];
    const char *disk = getenv("TEST_DISK");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (disk == NULL || length < 0) return 0;
    path[length] = 0;
    return strncmp(path, disk, strlen(disk)) == 0;
}

static int fails_to_write(int fd) {
    if (!is_ours(fd) || !told("read-only")) return 0;
    errno = EROFS;
    return 1;
}

static int fails_to_sync(int fd) {
    if (!is_ours(fd)) return 0;
    while (told("sync-hangs")) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (!told("sync-fails")) return 0;
    errno = EIO;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t count) {
    return fails_to_write(fd) ? -1 : NEXT(write)(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return fails_to_write(fd) ? -1 : NEXT(pwrite)(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return fails_to_write(fd) ? -1 : NEXT(pwrite64)(fd, bytes, count, at);
}

int ftruncate(int fd, off_t length) {
    return fails_to_write(fd) ? -1 : NEXT(ftruncate)(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    return fails_to_write(fd) ? -1 : NEXT(ftruncate64)(fd, length);
}

int fsync(int fd) {
    return fails_to_sync(fd) ? -1 : NEXT(fsync)(fd);
}

int fdatasync(int fd) {
    return fails_to_sync(fd) ? -1 : NEXT(fdatasync)(fd);
}
