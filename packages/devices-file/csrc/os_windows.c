/* SPDX-License-Identifier: MIT */
/* os_windows.c: os.h by NT calls; compiled, but no machine has run it yet */
#ifdef _WIN32

#include "os.h"

#include <errno.h>
#include <stddef.h>
#include <winioctl.h>
#include <winternl.h>

/* ---- errors ------------------------------------------------------------------------
 */

struct translation {
    DWORD error;
    int status;
};

static const struct translation TRANSLATIONS[] = {
    {ERROR_FILE_NOT_FOUND, -ENOENT},
    {ERROR_PATH_NOT_FOUND, -ENOENT},
    {ERROR_FILE_EXISTS, -EEXIST},
    {ERROR_ALREADY_EXISTS, -EEXIST},
    {ERROR_TOO_MANY_OPEN_FILES, -EMFILE},
    {ERROR_ACCESS_DENIED, -EACCES},
    {ERROR_SHARING_VIOLATION, -EBUSY},
    {ERROR_LOCK_VIOLATION, -EBUSY},
    {ERROR_DISK_FULL, -ENOSPC},
    {ERROR_HANDLE_DISK_FULL, -ENOSPC},
    {ERROR_DISK_QUOTA_EXCEEDED, -ENOSPC},
    {ERROR_NOT_ENOUGH_MEMORY, -ENOMEM},
    {ERROR_OUTOFMEMORY, -ENOMEM},
    {ERROR_WRITE_PROTECT, -EROFS},
    {ERROR_INVALID_PARAMETER, -EINVAL},
    {ERROR_INVALID_NAME, -EINVAL},
    {ERROR_NOT_SUPPORTED, -EOPNOTSUPP},
    {ERROR_INVALID_FUNCTION, -EOPNOTSUPP},
    {ERROR_DIRECTORY, -ENOTDIR},
    {ERROR_NO_SYSTEM_RESOURCES, -EAGAIN},
    {ERROR_CANT_RESOLVE_FILENAME, -ELOOP},
    {ERROR_STOPPED_ON_SYMLINK, -ELOOP},
    {ERROR_REPARSE_POINT_ENCOUNTERED, -ELOOP},
};

static int status_of(DWORD error) {
    for (size_t i = 0; i < sizeof TRANSLATIONS / sizeof *TRANSLATIONS; i++) {
        if (TRANSLATIONS[i].error == error) {
            return TRANSLATIONS[i].status;
        }
    }
    return -EIO;
}

static int last_error(void) { return status_of(GetLastError()); }

static int outcome(BOOL done) { return done ? 0 : last_error(); }

static HANDLE handle_of(os_file file) { return (HANDLE)file; }

/* ---- names -------------------------------------------------------------------------
 */

enum { NAME_ROOM = 64, PATH_ROOM = 32768 };

/* Give a name of ours, which is short and ASCII, to the NT calls. */
static int wide_name(const char *name, WCHAR *room, UNICODE_STRING *text) {
    size_t length = 0;
    for (; name[length] != '\0'; length++) {
        if (length == NAME_ROOM) {
            return -ENAMETOOLONG;
        }
        room[length] = (WCHAR)(unsigned char)name[length];
    }
    text->Buffer = room;
    text->Length = (USHORT)(length * sizeof(WCHAR));
    text->MaximumLength = text->Length;
    return 0;
}

/* Give a path of the user to the Win32 calls; the caller frees it. */
static int wide_path(const char *path, WCHAR **wide) {
    WCHAR *room = HeapAlloc(GetProcessHeap(), 0, PATH_ROOM * sizeof(WCHAR));
    if (room == NULL) {
        return -ENOMEM;
    }
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, room, PATH_ROOM) ==
        0) {
        (void)HeapFree(GetProcessHeap(), 0, room);
        return -EINVAL;
    }
    *wide = room;
    return 0;
}

static void free_path(WCHAR *wide) { (void)HeapFree(GetProcessHeap(), 0, wide); }

/* ---- opening -----------------------------------------------------------------------
 */

enum { SHARE_ALL = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE };

/* Open a name inside a directory that is open; never through a link (os.h I1). */
static int open_at(os_file parent, const char *name, ACCESS_MASK access,
                   ULONG disposition, ULONG options, os_file *file) {
    WCHAR room[NAME_ROOM];
    UNICODE_STRING text;
    int status = wide_name(name, room, &text);
    if (status != 0) {
        return status;
    }
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, &text, OBJ_CASE_INSENSITIVE,
                               handle_of(parent), NULL);
    IO_STATUS_BLOCK block;
    HANDLE handle;
    ULONG how = options | FILE_OPEN_REPARSE_POINT | FILE_SYNCHRONOUS_IO_NONALERT;
    NTSTATUS result =
        NtCreateFile(&handle, access | SYNCHRONIZE, &attributes, &block, NULL,
                     FILE_ATTRIBUTE_NORMAL, SHARE_ALL, disposition, how, NULL, 0);
    if (!NT_SUCCESS(result)) {
        return status_of(RtlNtStatusToDosError(result));
    }
    *file = (os_file)handle;
    return 0;
}

static int open_path(const char *path, os_file *directory) {
    WCHAR *wide;
    int status = wide_path(path, &wide);
    if (status != 0) {
        return status;
    }
    HANDLE handle = CreateFileW(wide, FILE_LIST_DIRECTORY | FILE_TRAVERSE, SHARE_ALL,
                                NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    status = handle == INVALID_HANDLE_VALUE ? last_error() : 0;
    free_path(wide);
    if (status == 0) {
        *directory = (os_file)handle;
    }
    return status;
}

static int windows_open_directory(const struct os *os, os_file parent, const char *name,
                                  os_file *directory) {
    (void)os;
    if (parent == OS_NOWHERE) {
        return open_path(name, directory);
    }
    if (name[0] == '.') {
        return -EACCES; /* NT has no relative "..": see windows_sync_directory */
    }
    return open_at(parent, name, FILE_LIST_DIRECTORY | FILE_TRAVERSE, FILE_OPEN,
                   FILE_DIRECTORY_FILE, directory);
}

static int windows_make_directory(const struct os *os, os_file parent,
                                  const char *name) {
    (void)os;
    if (parent != OS_NOWHERE) {
        os_file made;
        int status = open_at(parent, name, FILE_LIST_DIRECTORY, FILE_CREATE,
                             FILE_DIRECTORY_FILE, &made);
        return status == 0 ? outcome(CloseHandle(handle_of(made))) : status;
    }
    WCHAR *wide;
    int status = wide_path(name, &wide);
    if (status == 0) {
        status = outcome(CreateDirectoryW(wide, NULL));
        free_path(wide);
    }
    return status;
}

static int windows_open_file(const struct os *os, os_file directory, const char *name,
                             uint32_t flags, os_file *file) {
    (void)os;
    bool create = (flags & OS_CREATE) != 0, direct = (flags & OS_DIRECT) != 0;
    ACCESS_MASK access = FILE_GENERIC_READ;
    access |= (flags & OS_READ) != 0 ? 0u : FILE_GENERIC_WRITE | DELETE;
    ULONG options = FILE_NON_DIRECTORY_FILE;
    options |= direct ? FILE_NO_INTERMEDIATE_BUFFERING : 0u;
    /* A handle for appending only cannot be direct. */
    access &= direct ? ~(ACCESS_MASK)FILE_APPEND_DATA : ~(ACCESS_MASK)0;
    return open_at(directory, name, access, create ? FILE_CREATE : FILE_OPEN, options,
                   file);
}

static int windows_close_file(const struct os *os, os_file file) {
    (void)os;
    return outcome(CloseHandle(handle_of(file)));
}

/* ---- directories -------------------------------------------------------------------
 */

/* NTFS journals names in the order in which they were made, and flushing a file behind
 * them flushes the journal; a directory cannot be flushed by itself. */
static int windows_sync_directory(const struct os *os, os_file directory) {
    (void)os;
    (void)directory;
    return 0;
}

/* Pass on one name if it is ASCII: ours are. */
static void pass_name(const FILE_FULL_DIR_INFO *entry,
                      void (*each)(void *context, const char *name), void *context) {
    char name[NAME_ROOM];
    size_t length = entry->FileNameLength / sizeof(WCHAR);
    if (length >= sizeof name) {
        return;
    }
    for (size_t i = 0; i < length; i++) {
        if (entry->FileName[i] > 126) {
            return;
        }
        name[i] = (char)entry->FileName[i];
    }
    name[length] = '\0';
    each(context, name);
}

static int windows_list_directory(const struct os *os, os_file directory,
                                  void (*each)(void *context, const char *name),
                                  void *context) {
    (void)os;
    enum { ROOM = 65536 };
    uint8_t *room = HeapAlloc(GetProcessHeap(), 0, ROOM);
    if (room == NULL) {
        return -ENOMEM;
    }
    FILE_INFO_BY_HANDLE_CLASS kind = FileFullDirectoryRestartInfo;
    while (GetFileInformationByHandleEx(handle_of(directory), kind, room, ROOM)) {
        const uint8_t *at = room;
        for (ULONG next = 1; next != 0; at += next) {
            const FILE_FULL_DIR_INFO *entry = (const void *)at;
            pass_name(entry, each, context);
            next = entry->NextEntryOffset;
        }
        kind = FileFullDirectoryInfo;
    }
    DWORD error = GetLastError();
    (void)HeapFree(GetProcessHeap(), 0, room);
    return error == ERROR_NO_MORE_FILES ? 0 : status_of(error);
}

/* Do something to a file that is opened for it. */
static int with_file(os_file directory, const char *name,
                     FILE_INFO_BY_HANDLE_CLASS kind, void *value, DWORD size) {
    os_file file;
    int status = open_at(directory, name, DELETE, FILE_OPEN, 0, &file);
    if (status != 0) {
        return status;
    }
    status = outcome(SetFileInformationByHandle(handle_of(file), kind, value, size));
    (void)CloseHandle(handle_of(file));
    return status;
}

/* As the headers of older kits do not have them. */
enum { POSIX_DELETE = 0x1 | 0x2 /* delete, and take the name away at once */ };
enum { DISPOSITION_INFO_EX = 21 };

static int windows_remove_file(const struct os *os, os_file directory,
                               const char *name) {
    (void)os;
    DWORD flags = POSIX_DELETE;
    return with_file(directory, name, (FILE_INFO_BY_HANDLE_CLASS)DISPOSITION_INFO_EX,
                     &flags, sizeof flags);
}

static int windows_rename_file(const struct os *os, os_file directory, const char *from,
                               const char *to) {
    (void)os;
    union {
        FILE_RENAME_INFO info;
        uint8_t room[sizeof(FILE_RENAME_INFO) + NAME_ROOM * sizeof(WCHAR)];
    } wanted;
    WCHAR room[NAME_ROOM];
    UNICODE_STRING text;
    int status = wide_name(to, room, &text);
    if (status != 0) {
        return status;
    }
    ZeroMemory(&wanted, sizeof wanted);
    wanted.info.ReplaceIfExists = TRUE;
    wanted.info.RootDirectory = handle_of(directory);
    wanted.info.FileNameLength = text.Length;
    CopyMemory(wanted.info.FileName, room, text.Length);
    return with_file(directory, from, FileRenameInfo, &wanted, sizeof wanted);
}

/* ---- files -------------------------------------------------------------------------
 */

static int windows_measure_file(const struct os *os, os_file file,
                                struct os_measure *measure) {
    (void)os;
    BY_HANDLE_FILE_INFORMATION found;
    if (!GetFileInformationByHandle(handle_of(file), &found)) {
        return last_error();
    }
    const DWORD others = FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DIRECTORY;
    measure->size = (uint64_t)found.nFileSizeHigh << 32 | found.nFileSizeLow;
    bool regular = (found.dwFileAttributes & others) == 0;
    measure->plain = regular && found.nNumberOfLinks == 1;
    measure->gone = regular && found.nNumberOfLinks == 0;
    return 0;
}

static int windows_align_file(const struct os *os, os_file file,
                              struct os_alignment *alignment) {
    (void)os;
    enum { GUESS = 4096, SMALLEST = 512 };
    FILE_STORAGE_INFO found;
    alignment->transfer = GUESS;
    alignment->sector = GUESS;
    if (GetFileInformationByHandleEx(handle_of(file), FileStorageInfo, &found,
                                     sizeof found)) {
        ULONG sector = found.PhysicalBytesPerSectorForAtomicity;
        bool usable = sector >= SMALLEST && (sector & (sector - 1)) == 0;
        alignment->sector = usable ? sector : GUESS;
    }
    return 0;
}

static int windows_allocate_file(const struct os *os, os_file file, uint64_t size) {
    (void)os;
    FILE_ALLOCATION_INFO wanted;
    wanted.AllocationSize.QuadPart = (LONGLONG)size;
    return outcome(SetFileInformationByHandle(handle_of(file), FileAllocationInfo,
                                              &wanted, sizeof wanted));
}

/* Ask for a sparse file first: on others the size alone takes the room.  Whether that
 * is granted does not matter. */
static int windows_resize_file(const struct os *os, os_file file, uint64_t size) {
    (void)os;
    DWORD unused = 0;
    FILE_END_OF_FILE_INFO wanted;
    (void)DeviceIoControl(handle_of(file), FSCTL_SET_SPARSE, NULL, 0, NULL, 0, &unused,
                          NULL);
    wanted.EndOfFile.QuadPart = (LONGLONG)size;
    return outcome(SetFileInformationByHandle(handle_of(file), FileEndOfFileInfo,
                                              &wanted, sizeof wanted));
}

static DWORD one_call(uint64_t length) {
    const uint64_t most = 1u << 30;
    return (DWORD)(length < most ? length : most);
}

static OVERLAPPED at_position(uint64_t position) {
    OVERLAPPED at;
    ZeroMemory(&at, sizeof at);
    at.Offset = (DWORD)position;
    at.OffsetHigh = (DWORD)(position >> 32);
    return at;
}

static int64_t windows_read_file(const struct os *os, os_file file, void *buffer,
                                 uint64_t length, uint64_t position) {
    (void)os;
    OVERLAPPED at = at_position(position);
    DWORD moved = 0;
    if (ReadFile(handle_of(file), buffer, one_call(length), &moved, &at)) {
        return (int64_t)moved;
    }
    return GetLastError() == ERROR_HANDLE_EOF ? 0 : last_error();
}

static int64_t windows_write_file(const struct os *os, os_file file, const void *buffer,
                                  uint64_t length, uint64_t position) {
    (void)os;
    OVERLAPPED at = at_position(position);
    DWORD moved = 0;
    if (WriteFile(handle_of(file), buffer, one_call(length), &moved, &at)) {
        return (int64_t)moved;
    }
    return last_error();
}

static int windows_sync_file(const struct os *os, os_file file) {
    (void)os;
    return outcome(FlushFileBuffers(handle_of(file)));
}

const struct os *os_system(void) {
    static const struct os table = {
        .make_directory = windows_make_directory,
        .open_directory = windows_open_directory,
        .sync_directory = windows_sync_directory,
        .list_directory = windows_list_directory,
        .open_file = windows_open_file,
        .rename_file = windows_rename_file,
        .remove_file = windows_remove_file,
        .close_file = windows_close_file,
        .measure_file = windows_measure_file,
        .align_file = windows_align_file,
        .allocate_file = windows_allocate_file,
        .resize_file = windows_resize_file,
        .read_file = windows_read_file,
        .write_file = windows_write_file,
        .sync_file = windows_sync_file,
    };
    return &table;
}

/* ---- threads -----------------------------------------------------------------------
 */

int os_lock_init(struct os_lock *lock) {
    InitializeSRWLock(&lock->word);
    return 0;
}

void os_lock_destroy(struct os_lock *lock) { (void)lock; }

void os_lock_enter(struct os_lock *lock) { AcquireSRWLockExclusive(&lock->word); }

void os_lock_leave(struct os_lock *lock) { ReleaseSRWLockExclusive(&lock->word); }

int os_condition_init(struct os_condition *condition) {
    InitializeConditionVariable(&condition->word);
    return 0;
}

void os_condition_destroy(struct os_condition *condition) { (void)condition; }

void os_condition_wait(struct os_condition *condition, struct os_lock *lock,
                       uint32_t timeout_ms) {
    /* OS_FOREVER is INFINITE. */
    (void)SleepConditionVariableSRW(&condition->word, &lock->word, timeout_ms, 0);
}

void os_condition_wake_one(struct os_condition *condition) {
    WakeConditionVariable(&condition->word);
}

void os_condition_wake_all(struct os_condition *condition) {
    WakeAllConditionVariable(&condition->word);
}

static DWORD WINAPI thread_main(LPVOID argument) {
    struct os_thread *thread = argument;
    thread->run(thread->context);
    return 0;
}

int os_thread_start(struct os_thread *thread, void (*run)(void *context),
                    void *context) {
    thread->run = run;
    thread->context = context;
    thread->handle = CreateThread(NULL, 0, thread_main, thread, 0, NULL);
    return thread->handle != NULL ? 0 : -EAGAIN;
}

void os_thread_join(struct os_thread *thread) {
    (void)WaitForSingleObject(thread->handle, INFINITE);
    (void)CloseHandle(thread->handle);
}

uintptr_t os_thread_id(void) { return (uintptr_t)GetCurrentThreadId(); }

uint64_t os_clock_ms(void) { return (uint64_t)GetTickCount64(); }

int os_fork_watch(void) { return 0; }

uint32_t os_fork_generation(void) { return 0; }

#else
typedef int os_windows_is_empty_elsewhere;
#endif
