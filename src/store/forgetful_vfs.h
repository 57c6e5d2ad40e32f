// ForgetfulVfs: a disk for tests. It passes everything to the system's VFS and remembers what each file held at its
// last sync; power_cut() puts every file back to that. It can also die at the nth write (everything after fails) and be
// full. Header-only, used by durability_test.cpp. Threads: any. Source: sqlite.org/vfs.html.
#pragma once
#include <sqlite3.h>

#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>

namespace weft::store {

class ForgetfulVfs {
public:
    explicit ForgetfulVfs(std::string name) : name_(std::move(name)), real_(sqlite3_vfs_find(nullptr)) {
        vfs_ = *real_;
        vfs_.zName = name_.c_str();
        vfs_.pAppData = this;
        vfs_.szOsFile = int(sizeof(File)) + real_->szOsFile;
        vfs_.xOpen = open;
        vfs_.xDelete = remove;
        sqlite3_vfs_register(&vfs_, 0);
    }

    ~ForgetfulVfs() { sqlite3_vfs_unregister(&vfs_); }

    ForgetfulVfs(const ForgetfulVfs&) = delete;
    ForgetfulVfs& operator=(const ForgetfulVfs&) = delete;

    void die_at_write(int64_t n) {
        const std::lock_guard lock(mutex_);
        die_at_ = n;
        writes_ = 0;
        dead_ = false;
    }

    void set_full(bool full) {
        const std::lock_guard lock(mutex_);
        full_ = full;
    }

    int64_t writes() const { return locked(writes_); }
    int64_t syncs() const { return locked(syncs_); }
    bool dead() const { return locked(dead_); }

    // Only when no connection is open: every file is again what its last sync made safe.
    void power_cut() {
        const std::lock_guard lock(mutex_);
        for (const auto& [path, content] : safe_) std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
        dead_ = false;
        die_at_ = -1;
    }

    void forget_everything() {
        const std::lock_guard lock(mutex_);
        safe_.clear();
        syncs_ = writes_ = 0;
    }

private:
    struct File {
        sqlite3_file base;
        ForgetfulVfs* disk;
        const char* path;  // SQLite keeps it for the life of the file; nullptr: a temporary one
        sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
    };

    template <class T>
    T locked(const T& value) const {
        const std::lock_guard lock(mutex_);
        return value;
    }

    static File* self(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
    static sqlite3_file* real(sqlite3_file* file) { return self(file)->real(); }

    // SQLITE_OK, or what the disk says to a change.
    int allow_change() {
        const std::lock_guard lock(mutex_);
        if (!dead_ && die_at_ >= 0 && writes_ >= die_at_) dead_ = true;
        if (dead_) return SQLITE_IOERR;
        if (full_) return SQLITE_FULL;
        writes_++;
        return SQLITE_OK;
    }

    void remember(const char* path) {
        std::ifstream in(path, std::ios::binary);
        std::stringstream content;
        content << in.rdbuf();
        const std::lock_guard lock(mutex_);
        safe_[path] = content.str();
        syncs_++;
    }

    static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags, int* out_flags) {
        static const sqlite3_io_methods methods = {
            2,  // no memory mapping: every access is seen
            [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); },
            [](sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
                return real(f)->pMethods->xRead(real(f), data, size, at);
            },
            [](sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
                if (const int code = self(f)->disk->allow_change(); code != SQLITE_OK) return code;
                return real(f)->pMethods->xWrite(real(f), data, size, at);
            },
            [](sqlite3_file* f, sqlite3_int64 size) {
                if (const int code = self(f)->disk->allow_change(); code != SQLITE_OK) return code;
                return real(f)->pMethods->xTruncate(real(f), size);
            },
            [](sqlite3_file* f, int) {
                if (self(f)->disk->dead()) return SQLITE_IOERR;
                if (self(f)->path != nullptr) self(f)->disk->remember(self(f)->path);
                return SQLITE_OK;
            },
            [](sqlite3_file* f, sqlite3_int64* size) { return real(f)->pMethods->xFileSize(real(f), size); },
            [](sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); },
            [](sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); },
            [](sqlite3_file* f, int* held) { return real(f)->pMethods->xCheckReservedLock(real(f), held); },
            [](sqlite3_file* f, int op, void* arg) {
                // A size hint may grow the file behind our back; without it every byte comes through xWrite.
                if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE) return SQLITE_NOTFOUND;
                return real(f)->pMethods->xFileControl(real(f), op, arg);
            },
            [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); },
            // No promise about power loss or atomic writes: the strictest disk.
            [](sqlite3_file*) { return 0; },
            [](sqlite3_file* f, int page, int size, int extend, volatile void** out) {
                return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
            },
            [](sqlite3_file* f, int offset, int n, int flags) {
                return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
            },
            [](sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); },
            [](sqlite3_file* f, int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); },
        };
        auto* disk = static_cast<ForgetfulVfs*>(vfs->pAppData);
        File* file = self(out);
        file->disk = disk;
        file->path = path;
        file->base.pMethods = nullptr;
        const int code = disk->real_->xOpen(disk->real_, path, file->real(), flags, out_flags);
        if (code != SQLITE_OK) return code;
        file->base.pMethods = &methods;
        if (path != nullptr) {
            const std::lock_guard lock(disk->mutex_);
            disk->safe_.try_emplace(path);  // it is there, and nothing in it is safe yet
        }
        return SQLITE_OK;
    }

    static int remove(sqlite3_vfs* vfs, const char* path, int sync_dir) {
        auto* disk = static_cast<ForgetfulVfs*>(vfs->pAppData);
        if (disk->dead()) return SQLITE_IOERR;
        const int code = disk->real_->xDelete(disk->real_, path, sync_dir);
        const std::lock_guard lock(disk->mutex_);
        if (code == SQLITE_OK) disk->safe_.erase(path);
        return code;
    }

    const std::string name_;
    sqlite3_vfs* real_;
    sqlite3_vfs vfs_;
    mutable std::mutex mutex_;
    std::map<std::string, std::string> safe_;
    int64_t writes_ = 0, syncs_ = 0, die_at_ = -1;
    bool dead_ = false, full_ = false;
};

}  // namespace weft::store
