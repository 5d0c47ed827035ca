/* Records what a disk holds after a power cut: only fsynced data.
 *
 * Preloaded into a server. Every fsync and fdatasync of a file under POWERCUT_ROOT copies the current
 * file to POWERCUT_DISK/<inode> and adds its name to POWERCUT_DISK/names. An fsync of a folder adds
 * the names in it. The test builds the remaining disk from these records. While the file
 * POWERCUT_FAIL exists, every fsync and fdatasync fails, as on a broken disk. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void copy(int from, const char *disk, unsigned long inode) {
    char target[PATH_MAX], fresh[PATH_MAX + 8], buffer[65536];
    snprintf(target, sizeof target, "%s/%lu", disk, inode);
    snprintf(fresh, sizeof fresh, "%s.new", target);
    int to = open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (to < 0) abort();
    off_t at = 0;
    ssize_t count;
    while ((count = pread(from, buffer, sizeof buffer, at)) > 0) {
        if (write(to, buffer, count) != count) abort();
        at += count;
    }
    close(to);
    if (rename(fresh, target)) abort();
}

static void note(int fd) {
    const char *root = getenv("POWERCUT_ROOT"), *disk = getenv("POWERCUT_DISK");
    char link[64], path[PATH_MAX], names[PATH_MAX];
    struct stat about;
    if (!root || !disk || fstat(fd, &about)) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    if (strncmp(path, root, strlen(root))) return;
    pthread_mutex_lock(&one_at_a_time);
    snprintf(names, sizeof names, "%s/names", disk);
    FILE *list = fopen(names, "a");
    if (!list) abort();
    if (S_ISREG(about.st_mode)) {
        /* The descriptor may be write-only. */
        int readable = open(path, O_RDONLY);
        struct stat same;
        if (readable >= 0 && !fstat(readable, &same) && same.st_ino == about.st_ino) {
            copy(readable, disk, about.st_ino);
            fprintf(list, "F %lu %s\n", (unsigned long)about.st_ino, path);
        }
        if (readable >= 0) close(readable);
    } else if (S_ISDIR(about.st_mode)) {
        fprintf(list, "D 0 %s\n", path);
        DIR *folder = opendir(path);
        for (struct dirent *entry; folder && (entry = readdir(folder));)
            if (entry->d_type == DT_REG)
                fprintf(list, "E %lu %s/%s\n", (unsigned long)entry->d_ino, path, entry->d_name);
        if (folder) closedir(folder);
    }
    fclose(list);
    pthread_mutex_unlock(&one_at_a_time);
}

static int is_broken(void) {
    const char *broken = getenv("POWERCUT_FAIL");
    if (!broken || access(broken, F_OK)) return 0;
    errno = EIO;
    return 1;
}

int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    if (is_broken()) return -1;
    int outcome = real(fd);
    if (!outcome) note(fd);
    return outcome;
}

int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    if (is_broken()) return -1;
    int outcome = real(fd);
    if (!outcome) note(fd);
    return outcome;
}
