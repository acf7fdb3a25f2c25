/* A disk that fails on order: preloaded, it counts the calls that touch files below one folder, and the n-th fails.

   A call is counted where its path, or its file's, begins with INJECT_BELOW. INJECT_AT is the number of the call that
   meets INJECT_FAULT: an errno (a number), `kill-before`, `kill-after`, `interrupt` (SIGINT, then the call) or `short`
   (half of what a write was given). With INJECT_EVER, a string of groups, later calls of these groups meet the same
   errno: a full disk stays full. Each counted call appends "group name path" to INJECT_LOG. With INJECT_SHARED, the path
   of a file of eight zero bytes, children inherit the order and all processes count together. A program that was started
   without INJECT_BELOW can call `inject_arm` later. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Groups: o open to read, c open to write, r read, w write, s sync, n rename, l link, u remove, d new folder, m map,
   t size, k lock, x close after writing. */
enum { PASS = 0, DIE_AFTER = -1, SHORT = -2 };

static char below[PATH_MAX], fault[32], ever[32];
static long at, own_count, *count = &own_count;
static int log_fd = -1;
static volatile int armed;

void inject_arm(const char *where, long number, const char *what, const char *groups, const char *log) {
    snprintf(below, sizeof below, "%s", where);
    snprintf(fault, sizeof fault, "%s", what);
    snprintf(ever, sizeof ever, "%s", groups);
    at = number, *count = 0;
    if (*log) log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    armed = *below != 0;
}

static const char *said(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value ? value : otherwise;
}

__attribute__((constructor)) static void begin(void) {
    const char *where = said("INJECT_BELOW", ""), *shared = said("INJECT_SHARED", "");
    if (!*where) return;
    if (*shared) {
        int fd = syscall(SYS_openat, AT_FDCWD, shared, O_RDWR | O_CLOEXEC);
        long *page = (long *)syscall(SYS_mmap, NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED) abort();
        long before = *page;
        count = page;
        inject_arm(where, atol(said("INJECT_AT", "0")), said("INJECT_FAULT", ""), said("INJECT_EVER", ""), said("INJECT_LOG", ""));
        *count = before;
        return;
    }
    inject_arm(where, atol(said("INJECT_AT", "0")), said("INJECT_FAULT", ""), said("INJECT_EVER", ""), said("INJECT_LOG", ""));
    unsetenv("INJECT_BELOW");
}

static void die(void) { syscall(SYS_kill, syscall(SYS_getpid), SIGKILL); }

/* Counts a call and says how it ends: an errno, PASS, DIE_AFTER or SHORT. Leaves errno as it was. */
static int meet(char group, const char *name, const char *path) {
    if (strncmp(path, below, strlen(below))) return PASS;
    long n = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
    if (log_fd >= 0) {
        char line[PATH_MAX + 64];
        int size = snprintf(line, sizeof line, "%c %s %s\n", group, name, path);
        syscall(SYS_write, log_fd, line, (size_t)size);
    }
    if (!at || n < at) return PASS;
    if (n > at) return *ever && strchr(ever, group) ? atoi(fault) : PASS;
    if (!strcmp(fault, "kill-before")) die();
    if (!strcmp(fault, "kill-after")) return DIE_AFTER;
    if (!strcmp(fault, "short")) return SHORT;
    if (!strcmp(fault, "interrupt")) {
        syscall(SYS_kill, syscall(SYS_getpid), SIGINT);
        return PASS;
    }
    return atoi(fault);
}

static int meet_path(char group, const char *name, int folder, const char *path) {
    if (!armed || !path) return PASS;
    int kept = errno, size = 0, verdict;
    char whole[PATH_MAX * 2] = "", link[64];
    if (*path != '/') {
        if (folder == AT_FDCWD) {
            if (!getcwd(whole, PATH_MAX)) *whole = 0;
            size = (int)strlen(whole);
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t got = readlink(link, whole, PATH_MAX);
            size = got > 0 ? (int)got : 0;
        }
        whole[size++] = '/';
    }
    snprintf(whole + size, sizeof whole - (size_t)size, "%s", path);
    verdict = meet(group, name, whole);
    errno = kept;
    return verdict;
}

static int meet_fd(char group, const char *name, int fd) {
    if (!armed || fd < 0 || fd == log_fd) return PASS;
    int kept = errno, verdict = PASS;
    char link[64], whole[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, whole, sizeof whole - 1);
    if (got > 0) {
        whole[got] = 0;
        verdict = meet(group, name, whole);
    }
    errno = kept;
    return verdict;
}

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* `verdict` first, then the call; the call's outcome is returned. */
#define RUN(type, verdict, bad, call)                                                                                  \
    int met = verdict;                                                                                                 \
    if (met > 0) {                                                                                                     \
        errno = met;                                                                                                   \
        return bad;                                                                                                    \
    }                                                                                                                  \
    type outcome = call;                                                                                               \
    if (met == DIE_AFTER) die();                                                                                       \
    return outcome

#define GROUP_OF(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) ? 'c' : 'o')
#define MODE(flags)                                                                                                    \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    RUN(int, meet_path(GROUP_OF(flags), "open", AT_FDCWD, path), -1, REAL(open)(path, flags, mode));
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    RUN(int, meet_path(GROUP_OF(flags), "open", AT_FDCWD, path), -1, REAL(open64)(path, flags, mode));
}
int openat(int folder, const char *path, int flags, ...) {
    MODE(flags)
    RUN(int, meet_path(GROUP_OF(flags), "openat", folder, path), -1, REAL(openat)(folder, path, flags, mode));
}
int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags)
    RUN(int, meet_path(GROUP_OF(flags), "openat", folder, path), -1, REAL(openat64)(folder, path, flags, mode));
}
int creat(const char *path, mode_t mode) {
    RUN(int, meet_path('c', "creat", AT_FDCWD, path), -1, REAL(creat)(path, mode));
}
FILE *fopen(const char *path, const char *how) {
    RUN(FILE *, meet_path(strpbrk(how, "wa+") ? 'c' : 'o', "fopen", AT_FDCWD, path), NULL, REAL(fopen)(path, how));
}
FILE *fopen64(const char *path, const char *how) {
    RUN(FILE *, meet_path(strpbrk(how, "wa+") ? 'c' : 'o', "fopen", AT_FDCWD, path), NULL, REAL(fopen64)(path, how));
}

ssize_t read(int fd, void *data, size_t size) { RUN(ssize_t, meet_fd('r', "read", fd), -1, REAL(read)(fd, data, size)); }
ssize_t pread(int fd, void *data, size_t size, off_t from) {
    RUN(ssize_t, meet_fd('r', "pread", fd), -1, REAL(pread)(fd, data, size, from));
}
ssize_t pread64(int fd, void *data, size_t size, off64_t from) {
    RUN(ssize_t, meet_fd('r', "pread", fd), -1, REAL(pread64)(fd, data, size, from));
}

static size_t less(int met, size_t size) { return met == SHORT && size > 1 ? size / 2 : size; }
ssize_t write(int fd, const void *data, size_t size) {
    RUN(ssize_t, meet_fd('w', "write", fd), -1, REAL(write)(fd, data, less(met, size)));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t to) {
    RUN(ssize_t, meet_fd('w', "pwrite", fd), -1, REAL(pwrite)(fd, data, less(met, size), to));
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t to) {
    RUN(ssize_t, meet_fd('w', "pwrite", fd), -1, REAL(pwrite64)(fd, data, less(met, size), to));
}
ssize_t writev(int fd, const struct iovec *parts, int number) {
    RUN(ssize_t, meet_fd('w', "writev", fd), -1, REAL(writev)(fd, parts, number));
}
size_t fwrite(const void *data, size_t size, size_t number, FILE *file) {
    RUN(size_t, meet_fd('w', "fwrite", fileno(file)), 0, REAL(fwrite)(data, size, number, file));
}
ssize_t sendfile(int to, int from, off_t *offset, size_t size) {
    ssize_t sendfile(int, int, off_t *, size_t);
    RUN(ssize_t, meet_fd('w', "sendfile", to), -1, REAL(sendfile)(to, from, offset, size));
}
ssize_t sendfile64(int to, int from, off64_t *offset, size_t size) {
    ssize_t sendfile64(int, int, off64_t *, size_t);
    RUN(ssize_t, meet_fd('w', "sendfile", to), -1, REAL(sendfile64)(to, from, offset, size));
}
ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *place, size_t size, unsigned flags) {
    RUN(ssize_t, meet_fd('w', "copy_file_range", to), -1, REAL(copy_file_range)(from, start, to, place, size, flags));
}

int fsync(int fd) { RUN(int, meet_fd('s', "fsync", fd), -1, REAL(fsync)(fd)); }
int fdatasync(int fd) { RUN(int, meet_fd('s', "fdatasync", fd), -1, REAL(fdatasync)(fd)); }
int syncfs(int fd) { RUN(int, meet_fd('s', "syncfs", fd), -1, REAL(syncfs)(fd)); }

int rename(const char *from, const char *to) { RUN(int, meet_path('n', "rename", AT_FDCWD, to), -1, REAL(rename)(from, to)); }
int renameat(int f, const char *from, int t, const char *to) {
    RUN(int, meet_path('n', "renameat", t, to), -1, REAL(renameat)(f, from, t, to));
}
int renameat2(int f, const char *from, int t, const char *to, unsigned flags) {
    RUN(int, meet_path('n', "renameat2", t, to), -1, REAL(renameat2)(f, from, t, to, flags));
}
int link(const char *from, const char *to) { RUN(int, meet_path('l', "link", AT_FDCWD, to), -1, REAL(link)(from, to)); }
int linkat(int f, const char *from, int t, const char *to, int flags) {
    RUN(int, meet_path('l', "linkat", t, to), -1, REAL(linkat)(f, from, t, to, flags));
}
int symlink(const char *from, const char *to) { RUN(int, meet_path('l', "symlink", AT_FDCWD, to), -1, REAL(symlink)(from, to)); }
int unlink(const char *path) { RUN(int, meet_path('u', "unlink", AT_FDCWD, path), -1, REAL(unlink)(path)); }
int unlinkat(int folder, const char *path, int flags) {
    RUN(int, meet_path('u', "unlinkat", folder, path), -1, REAL(unlinkat)(folder, path, flags));
}
int remove(const char *path) { RUN(int, meet_path('u', "remove", AT_FDCWD, path), -1, REAL(remove)(path)); }
int rmdir(const char *path) { RUN(int, meet_path('u', "rmdir", AT_FDCWD, path), -1, REAL(rmdir)(path)); }
int mkdir(const char *path, mode_t mode) { RUN(int, meet_path('d', "mkdir", AT_FDCWD, path), -1, REAL(mkdir)(path, mode)); }
int mkdirat(int folder, const char *path, mode_t mode) {
    RUN(int, meet_path('d', "mkdirat", folder, path), -1, REAL(mkdirat)(folder, path, mode));
}

void *mmap(void *place, size_t size, int protection, int flags, int fd, off_t from) {
    RUN(void *, meet_fd('m', "mmap", fd), MAP_FAILED, REAL(mmap)(place, size, protection, flags, fd, from));
}
void *mmap64(void *place, size_t size, int protection, int flags, int fd, off64_t from) {
    RUN(void *, meet_fd('m', "mmap", fd), MAP_FAILED, REAL(mmap64)(place, size, protection, flags, fd, from));
}

int ftruncate(int fd, off_t size) { RUN(int, meet_fd('t', "ftruncate", fd), -1, REAL(ftruncate)(fd, size)); }
int ftruncate64(int fd, off64_t size) { RUN(int, meet_fd('t', "ftruncate", fd), -1, REAL(ftruncate64)(fd, size)); }
int truncate(const char *path, off_t size) { RUN(int, meet_path('t', "truncate", AT_FDCWD, path), -1, REAL(truncate)(path, size)); }
int truncate64(const char *path, off64_t size) {
    RUN(int, meet_path('t', "truncate", AT_FDCWD, path), -1, REAL(truncate64)(path, size));
}
int posix_fallocate(int fd, off_t from, off_t size) { /* answers with the errno */
    RUN(int, meet_fd('t', "posix_fallocate", fd), met, REAL(posix_fallocate)(fd, from, size));
}
int posix_fallocate64(int fd, off64_t from, off64_t size) {
    RUN(int, meet_fd('t', "posix_fallocate", fd), met, REAL(posix_fallocate64)(fd, from, size));
}

int flock(int fd, int how) { RUN(int, how & LOCK_UN ? PASS : meet_fd('k', "flock", fd), -1, REAL(flock)(fd, how)); }
static int locks(int what) { return what == F_SETLK || what == F_SETLKW || what == F_OFD_SETLK || what == F_OFD_SETLKW; }
int fcntl(int fd, int what, ...) {
    va_list more;
    va_start(more, what);
    void *value = va_arg(more, void *);
    va_end(more);
    RUN(int, locks(what) ? meet_fd('k', "fcntl", fd) : PASS, -1, REAL(fcntl)(fd, what, value));
}
int fcntl64(int fd, int what, ...) {
    va_list more;
    va_start(more, what);
    void *value = va_arg(more, void *);
    va_end(more);
    RUN(int, locks(what) ? meet_fd('k', "fcntl", fd) : PASS, -1, REAL(fcntl64)(fd, what, value));
}
int close(int fd) { /* closes in any case, as Linux does */
    int written = armed && (REAL(fcntl)(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
    int met = written ? meet_fd('x', "close", fd) : PASS, outcome = REAL(close)(fd);
    if (met == DIE_AFTER) die();
    if (met > 0) {
        errno = met;
        return -1;
    }
    return outcome;
}
