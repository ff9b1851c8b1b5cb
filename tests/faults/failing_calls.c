/* A library to preload: makes one file-changing system call on files in one folder fail, the n-th of a program and all
 * of its children. Environment: FAULT_FOLDER (absolute), FAULT_STATE (a file of 8 bytes, the counter that all processes
 * share), FAULT_AT (n from 1 on; 0: none, only count), FAULT_KIND (eio, enospc, full, eintr, short; fat: a file system
 * without links and RENAME_NOREPLACE; hang: the call never returns; read: reads fail with EIO, and nothing else),
 * FAULT_LOG (gets a line for each call: its number, its name, the file, and "!" if it was made to fail). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { max_files = 4096 };
static char file_of[max_files][256]; /* open for writing in the folder: the name; else empty */
static _Atomic unsigned long* counter;
static char folder[PATH_MAX];
static unsigned long fail_at;
static const char* kind = "eio";
static int log_file = -1;

static void* next_of(const char* name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void start(void) {
  const char* text = getenv("FAULT_FOLDER");
  if (text == NULL) return;
  snprintf(folder, sizeof folder, "%s/", text);
  text = getenv("FAULT_STATE");
  const int state = text == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, text, O_RDWR | O_CLOEXEC, 0);
  if (state >= 0) {
    void* shared = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, state, 0);
    syscall(SYS_close, state);
    if (shared != MAP_FAILED) counter = shared;
  }
  text = getenv("FAULT_AT");
  fail_at = text == NULL ? 0 : strtoul(text, NULL, 10);
  if (getenv("FAULT_KIND") != NULL) kind = getenv("FAULT_KIND");
  text = getenv("FAULT_LOG");
  if (text != NULL) {
    const int opened = (int)syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (opened >= 0) {
      log_file = (int)syscall(SYS_fcntl, opened, F_DUPFD_CLOEXEC, 1000); /* out of everybody's way */
      syscall(SYS_close, opened);
    }
  }
}

/* The path, if it is in the folder; its name in there. */
static const char* in_folder(int directory, const char* path) {
  static _Thread_local char whole[2 * PATH_MAX];
  if (path == NULL || counter == NULL) return NULL;
  if (path[0] == '/') {
    snprintf(whole, sizeof whole, "%s", path);
  } else if (directory == AT_FDCWD) {
    char here[PATH_MAX];
    if (getcwd(here, sizeof here) == NULL) return NULL;
    snprintf(whole, sizeof whole, "%s/%s", here, path);
  } else {
    return NULL;
  }
  const size_t length = strlen(folder);
  return strncmp(whole, folder, length) == 0 ? whole + length : NULL;
}

/* Counts a call on a file; 1 if it must fail, with errno; 2 if it must be short. */
static int fails(const char* call, const char* name, int needs_space, int can_be_short) {
  if (strcmp(kind, "fat") == 0) {
    const int flags = strcmp(call, "renameat2") == 0;
    errno = flags ? EINVAL : EPERM;
    return flags || strcmp(call, "link") == 0;
  }
  if ((strcmp(kind, "read") == 0) != (strcmp(call, "pread") == 0)) return 0;
  const unsigned long n = atomic_fetch_add(counter, 1) + 1;
  const int full = strcmp(kind, "full") == 0 && fail_at != 0 && n > fail_at && needs_space;
  int chosen = n == fail_at || full;
  if (chosen && strcmp(kind, "short") == 0) chosen = can_be_short ? 2 : 0;
  if (chosen && (strcmp(kind, "enospc") == 0 || strcmp(kind, "full") == 0) && !needs_space) chosen = 0;
  if (log_file >= 0) {
    char line[512];
    const int bytes = snprintf(line, sizeof line, "%lu %s %.300s%s\n", n, call, name, chosen ? " !" : "");
    syscall(SYS_write, log_file, line, (size_t)bytes);
  }
  while (chosen == 1 && strcmp(kind, "hang") == 0) pause();
  if (chosen == 1)
    errno = strcmp(kind, "eintr") == 0 ? EINTR : strcmp(kind, "eio") == 0 || strcmp(kind, "read") == 0 ? EIO : ENOSPC;
  return chosen;
}

static const char* name_of(int fd) {
  return counter != NULL && fd >= 0 && fd < max_files && file_of[fd][0] != 0 ? file_of[fd] : NULL;
}

static int changes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0; }

static int opened(int fd, const char* name) {
  if (fd >= 0 && fd < max_files) snprintf(file_of[fd], sizeof file_of[fd], "%s", name);
  return fd;
}

#define OPENING(symbol, at, parameters, arguments, path, directory)        \
  int symbol parameters {                                                  \
    mode_t mode = 0;                                                       \
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {                            \
      va_list list;                                                        \
      va_start(list, flags);                                               \
      mode = va_arg(list, mode_t);                                         \
      va_end(list);                                                        \
    }                                                                      \
    static int(*real) at;                                                  \
    if (real == NULL) *(void**)&real = next_of(#symbol);                   \
    const char* name = changes(flags) ? in_folder(directory, path) : NULL; \
    if (name == NULL) return real arguments;                               \
    char kept[256];                                                        \
    snprintf(kept, sizeof kept, "%s", name);                               \
    if (fails("open", kept, 1, 0)) return -1;                              \
    return opened(real arguments, kept);                                   \
  }
OPENING(open, (const char*, int, ...), (const char* path, int flags, ...), (path, flags, mode), path, AT_FDCWD)
OPENING(open64, (const char*, int, ...), (const char* path, int flags, ...), (path, flags, mode), path, AT_FDCWD)
OPENING(openat, (int, const char*, int, ...), (int directory, const char* path, int flags, ...),
        (directory, path, flags, mode), path, directory)
OPENING(openat64, (int, const char*, int, ...), (int directory, const char* path, int flags, ...),
        (directory, path, flags, mode), path, directory)

#define WRITING(symbol, call, at, parameters, short_arguments, arguments) \
  ssize_t symbol parameters {                                             \
    static ssize_t(*real) at;                                             \
    if (real == NULL) *(void**)&real = next_of(#symbol);                  \
    const char* name = name_of(fd);                                       \
    if (name == NULL) return real arguments;                              \
    const int fault = fails(call, name, 1, bytes > 1);                    \
    if (fault == 0) return real arguments;                                \
    if (fault == 1 && errno == EINTR) return -1;                          \
    const int error = errno;                                              \
    const ssize_t half = bytes > 1 ? real short_arguments : 0;            \
    errno = error;                                                        \
    return fault == 2 ? half : -1;                                        \
  }
WRITING(write, "write", (int, const void*, size_t), (int fd, const void* data, size_t bytes), (fd, data, bytes / 2),
        (fd, data, bytes))
WRITING(pwrite, "pwrite", (int, const void*, size_t, off_t), (int fd, const void* data, size_t bytes, off_t offset),
        (fd, data, bytes / 2, offset), (fd, data, bytes, offset))
WRITING(pwrite64, "pwrite", (int, const void*, size_t, off_t), (int fd, const void* data, size_t bytes, off_t offset),
        (fd, data, bytes / 2, offset), (fd, data, bytes, offset))

ssize_t writev(int fd, const struct iovec* pieces, int count) {
  static ssize_t (*real)(int, const struct iovec*, int);
  if (real == NULL) *(void**)&real = next_of("writev");
  if (name_of(fd) != NULL && fails("writev", name_of(fd), 1, 0)) return -1;
  return real(fd, pieces, count);
}

#define ON_FILE(symbol, call, at, parameters, arguments, needs_space)               \
  int symbol parameters {                                                           \
    static int(*real) at;                                                           \
    if (real == NULL) *(void**)&real = next_of(#symbol);                            \
    if (name_of(fd) != NULL && fails(call, name_of(fd), needs_space, 0)) return -1; \
    return real arguments;                                                          \
  }
ON_FILE(ftruncate, "ftruncate", (int, off_t), (int fd, off_t size), (fd, size), 0)
ON_FILE(ftruncate64, "ftruncate", (int, off_t), (int fd, off_t size), (fd, size), 0)
ON_FILE(fdatasync, "fdatasync", (int), (int fd), (fd), 0)

int fsync(int fd) {
  static int (*real)(int);
  if (real == NULL) *(void**)&real = next_of("fsync");
  if (name_of(fd) != NULL && fails("fsync", name_of(fd), 0, 0)) return -1;
  struct stat info;
  if (name_of(fd) == NULL && counter != NULL && fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    char link[64];
    char path[PATH_MAX + 1] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, PATH_MAX);
    if (length > 0) path[length] = '/';
    if (length > 0 && strncmp(path, folder, strlen(folder)) == 0 && fails("fsync", path + strlen(folder), 0, 0))
      return -1;
  }
  return real(fd);
}

int close(int fd) {
  static int (*real)(int);
  if (real == NULL) *(void**)&real = next_of("close");
  const char* name = name_of(fd);
  if (name == NULL) return real(fd);
  const int fault = fails("close", name, 0, 0);
  const int error = errno;
  file_of[fd][0] = 0;
  const int done = real(fd); /* it is closed, whatever is said */
  if (fault == 0) return done;
  errno = error;
  return -1;
}

#define ON_PATH(symbol, at, parameters, arguments, path, directory, needs_space) \
  int symbol parameters {                                                        \
    static int(*real) at;                                                        \
    if (real == NULL) *(void**)&real = next_of(#symbol);                         \
    const char* name = in_folder(directory, path);                               \
    if (name != NULL && fails(#symbol, name, needs_space, 0)) return -1;         \
    return real arguments;                                                       \
  }
ON_PATH(rename, (const char*, const char*), (const char* from, const char* to), (from, to), to, AT_FDCWD, 1)
ON_PATH(renameat2, (int, const char*, int, const char*, unsigned),
        (int a, const char* from, int b, const char* to, unsigned flags), (a, from, b, to, flags), to, b, 1)
ON_PATH(link, (const char*, const char*), (const char* from, const char* to), (from, to), to, AT_FDCWD, 1)
ON_PATH(unlink, (const char*), (const char* path), (path), path, AT_FDCWD, 0)
ON_PATH(mkdir, (const char*, mode_t), (const char* path, mode_t mode), (path, mode), path, AT_FDCWD, 1)

#define READING(symbol)                                                                       \
  ssize_t symbol(int fd, void* data, size_t bytes, off_t offset) {                            \
    static ssize_t (*real)(int, void*, size_t, off_t);                                        \
    if (real == NULL) *(void**)&real = next_of(#symbol);                                      \
    char link[64];                                                                            \
    char path[PATH_MAX + 1] = "";                                                             \
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);                                      \
    const char* name = readlink(link, path, PATH_MAX) > 0 ? in_folder(AT_FDCWD, path) : NULL; \
    return name != NULL && fails("pread", name, 0, 0) ? -1 : real(fd, data, bytes, offset);   \
  }
READING(pread)
READING(pread64)
