#define _GNU_SOURCE
#include "inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the entries below are written for x86-64"
#endif

/* ---- how calls fail ---- */

#define SHORTEN (-2) /* the call is made, for half of what was asked: a short count */

struct failure {
    long result;
    int error; /* errno; SHORTEN */
};

static const struct failure null[] = {{0, ENOMEM}};
static const struct failure refused[] = {{0, 0}, {-1, 0}}; /* 1 is success */
static const struct failure zero[] = {{0, 0}};
static const struct failure minus[] = {{-1, 0}};
static const struct failure eof[] = {{-1, ENOSPC}};
/* IOERR_WRITE, FULL, NOMEM, BUSY, CORRUPT, IOERR_FSYNC: as sqlite3.h numbers them. */
static const struct failure sql[] = {{778, 0}, {13, 0}, {7, 0}, {5, 0}, {11, 0}, {1034, 0}};
static const struct failure reads[] = {{-1, EIO}, {-1, EINTR}, {0, SHORTEN}};
static const struct failure writes[] = {{-1, ENOSPC}, {-1, EIO}, {-1, EINTR}, {0, SHORTEN}};
static const struct failure opens[] = {{-1, EMFILE}, {-1, EACCES}, {-1, ENOENT}};
static const struct failure file[] = {{-1, EIO}, {-1, ENOSPC}};
static const struct failure interrupted[] = {{-1, EINTR}};
static const struct failure waits[] = {{-1, EINTR}, {-1, ENOMEM}};
static const struct failure receives[] = {
    {-1, ECONNRESET}, {-1, EINTR}, {0, SHORTEN}, {-1, EAGAIN}};
static const struct failure sends[] = {{-1, EPIPE}, {-1, EINTR}, {0, SHORTEN}, {-1, EAGAIN}};
static const struct failure connects[] = {{-1, ECONNREFUSED}, {-1, ENETUNREACH}};
static const struct failure accepts[] = {{-1, EMFILE}, {-1, ECONNABORTED}, {-1, EINTR}};
static const struct failure limits[] = {{-1, ENOMEM}, {-1, EPERM}};
static const struct failure mapping[] = {{-1, ENOMEM}}; /* MAP_FAILED */
static const struct failure number[] = {{EAGAIN, 0}, {ENOMEM, 0}};
static const struct failure lookup[] = {{-3, 0}, {-2, 0}}; /* EAI_AGAIN, EAI_NONAME */

struct row {
    const char *name;
    unsigned class;
    const struct failure *how;
    unsigned ways;
    void *real;
};

/* Registers as the common entry saves them: the arguments, and rax. */
struct regs {
    uint64_t r9, r8, rcx, rdx, rsi, rdi, rax;
};

/* The next definition after ours, and what is to be called instead: 0 for nothing. */
void *inject_enter(struct row *row, struct regs *regs, const void *caller);

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])
#define FAILS(function, class_, how_)                                                   \
    struct row inject_row_##function __attribute__((visibility("hidden"))) = {          \
        #function, INJECT_##class_, how_, COUNT_OF(how_), NULL};                        \
    __asm__(".globl " #function "\n.type " #function ", @function\n" #function ":\n"    \
            "\t.cfi_startproc\n\tendbr64\n\tlea inject_row_" #function "(%rip), %r11\n" \
            "\tjmp inject_common\n\t.cfi_endproc\n.size " #function ", .-" #function "\n");
#define CANNOT(function)
#include "functions.def"
#undef FAILS

static struct row *const rows[] = {
#define FAILS(function, class, how) &inject_row_##function,
#include "functions.def"
#undef FAILS
};

/* Every argument, whatever its type, is put aside and back: six registers of integers,
 * eight of floating point, the number of the latter in rax. */
__asm__(".type inject_common, @function\n"
        "inject_common:\n"
        "\t.cfi_startproc\n"
        "\tpush %r11\n\tpush %rax\n\tpush %rdi\n\tpush %rsi\n"
        "\tpush %rdx\n\tpush %rcx\n\tpush %r8\n\tpush %r9\n"
        "\tsub $136, %rsp\n"
        "\t.cfi_adjust_cfa_offset 200\n"
        "\tmovups %xmm0, (%rsp)\n\tmovups %xmm1, 16(%rsp)\n"
        "\tmovups %xmm2, 32(%rsp)\n\tmovups %xmm3, 48(%rsp)\n"
        "\tmovups %xmm4, 64(%rsp)\n\tmovups %xmm5, 80(%rsp)\n"
        "\tmovups %xmm6, 96(%rsp)\n\tmovups %xmm7, 112(%rsp)\n"
        "\tmov %r11, %rdi\n\tlea 136(%rsp), %rsi\n\tmov 200(%rsp), %rdx\n"
        "\tcall inject_enter\n"
        "\tmov %rax, %r11\n"
        "\tmovups (%rsp), %xmm0\n\tmovups 16(%rsp), %xmm1\n"
        "\tmovups 32(%rsp), %xmm2\n\tmovups 48(%rsp), %xmm3\n"
        "\tmovups 64(%rsp), %xmm4\n\tmovups 80(%rsp), %xmm5\n"
        "\tmovups 96(%rsp), %xmm6\n\tmovups 112(%rsp), %xmm7\n"
        "\tadd $136, %rsp\n"
        "\tpop %r9\n\tpop %r8\n\tpop %rcx\n\tpop %rdx\n"
        "\tpop %rsi\n\tpop %rdi\n\tpop %rax\n\tadd $8, %rsp\n"
        "\t.cfi_adjust_cfa_offset -200\n"
        "\ttest %r11, %r11\n\tjz 1f\n\tjmp *%r11\n"
        "1:\tret\n"
        "\t.cfi_endproc\n.size inject_common, .-inject_common\n");

/* ---- when they fail ---- */

static struct inject_control control_here;
struct inject_control *inject = &control_here;

/* Set while the injector itself calls what it counts. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

/* Where code lies: the program's own, and libmicrohttpd's. */
static struct code {
    uintptr_t begin, end;
} program, microhttpd;

static bool is_in(const struct code *code, const void *caller)
{
    return (uintptr_t)caller >= code->begin && (uintptr_t)caller < code->end;
}

static bool is_own(const void *caller)
{
    return is_in(&program, caller);
}

/* Libraries call themselves: what counts is what the program gets to see. */
#define LIBRARIES (INJECT_OPENSSL | INJECT_SQLITE | INJECT_HTTP)

/* Giving a lock up has no failure that a program could do anything about: SQLite takes none
 * for possible, and would wait for itself. */
static bool is_unlock(const struct row *row, const struct regs *regs)
{
    return strncmp(row->name, "fcntl", 5) == 0 && (int)regs->rsi == F_SETLK &&
           ((const struct flock *)regs->rdx)->l_type == F_UNLCK;
}

static bool is_counted(const struct row *row, const struct regs *regs, const void *caller)
{
    if ((atomic_load(&inject->classes) & row->class) == 0 || is_unlock(row, regs))
        return false;
    /* What it reads and writes is an eventfd, on which neither can fail; it would abort. */
    if (row->class == INJECT_FILE && is_in(&microhttpd, caller))
        return false;
    const bool own_only = (row->class & LIBRARIES) != 0 || atomic_load(&inject->own) != 0;
    return !own_only || is_own(caller);
}

/* One in `rate`, the same ones for the same seed (splitmix64). */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static bool must_fail(uint64_t call, uint64_t *variant)
{
    const uint64_t at = atomic_load(&inject->at);
    const uint64_t rate = atomic_load(&inject->rate);
    *variant = atomic_load(&inject->variant);
    if (at != 0)
        return call == at;
    if (rate == 0)
        return false;
    const uint64_t drawn = mix(atomic_load(&inject->seed) ^ mix(call));
    *variant = drawn >> 40;
    return drawn % rate == 0;
}

/* OpenSSL and jansson allocate by functions of common/out_of_memory.c: who asked is behind. */
static bool allocates_by_us(const void *code)
{
    Dl_info at = {0};
    dladdr(code, &at);
    return at.dli_fname != NULL && (strstr(at.dli_fname, "/libcrypto.") != NULL ||
                                    strstr(at.dli_fname, "/libjansson.") != NULL);
}

/* "malloc fails (0, errno 12), call 17 of class 1, seed 0, in libcrypto.so.3+0x1f2, for
 * vouchsafe+0x3a1c": addr2line -e names the line. */
static void describe(const struct row *row, const struct failure *f, uint64_t call,
                     const void *caller)
{
    void *frames[48];
    const int depth = backtrace(frames, 48);
    int i = 0;
    while (i < depth && frames[i] != caller)
        i++;
    int beyond = i;
    while (beyond < depth && is_own(frames[beyond]))
        beyond++;
    if (row->class == INJECT_ALLOC && beyond < depth && allocates_by_us(frames[beyond])) {
        i = beyond;
        caller = frames[beyond];
    }
    const void *own = caller;
    for (; i < depth && !is_own(own); i++) {
        if (is_own(frames[i]))
            own = frames[i];
    }
    Dl_info at = {0}, by = {0};
    dladdr(caller, &at);
    const char *slash = at.dli_fname == NULL ? NULL : strrchr(at.dli_fname, '/');
    dladdr(own, &by);
    const int error = f->error == SHORTEN ? 0 : f->error;
    snprintf(
        inject->last, sizeof inject->last,
        "%s fails (%s%ld, errno %d), call %llu of class 0x%x, seed %llu, in %s+0x%lx, for +0x%lx",
        row->name, f->error == SHORTEN ? "short count " : "", f->result, error,
        (unsigned long long)call, row->class, (unsigned long long)atomic_load(&inject->seed),
        slash == NULL ? "?" : slash + 1,
        (unsigned long)((uintptr_t)caller - (uintptr_t)at.dli_fbase),
        is_own(own) ? (unsigned long)((uintptr_t)own - (uintptr_t)by.dli_fbase) : 0);
    if (getenv("INJECT_SAY") != NULL)
        dprintf(STDERR_FILENO, "inject: %s\n", inject->last);
}

/* A failing function of OpenSSL leaves its reason in the queue: so does this. */
static void leave_openssl_error(void)
{
    void (*begin)(void);
    void (*set)(int, int, const char *, ...);
    *(void **)&begin = dlsym(RTLD_DEFAULT, "ERR_new");
    *(void **)&set = dlsym(RTLD_DEFAULT, "ERR_set_error");
    if (begin == NULL || set == NULL)
        return;
    begin();
    set(15 /* ERR_LIB_CRYPTO */, 259 | (3 << 18) /* ERR_R_INTERNAL_ERROR */, "injected");
}

static bool fail(struct row *row, struct regs *regs, const void *caller)
{
    uint64_t variant;
    const uint64_t call = atomic_fetch_add(&inject->calls, 1) + 1;
    if (!must_fail(call, &variant))
        return false;
    const struct failure *f = &row->how[variant % row->ways];
    atomic_fetch_add(&inject->failed, 1);
    inside = true;
    describe(row, f, call, caller);
    if (row->class == INJECT_OPENSSL && atomic_load(&inject->stop) == 0)
        leave_openssl_error();
    inside = false;
    if (atomic_load(&inject->stop) != 0) {
        raise(SIGSTOP);
        return false;
    }
    if (f->error == SHORTEN) {
        if (regs->rdx > 1)
            regs->rdx /= 2; /* read, write, recv, send and their like: the third argument */
        return false;
    }
    regs->rax = (uint64_t)f->result;
    if (f->error != 0)
        errno = f->error;
    return true;
}

void *inject_enter(struct row *row, struct regs *regs, const void *caller)
{
    if (row->real == NULL) {
        const bool was_inside = inside;
        inside = true;
        row->real = dlsym(RTLD_NEXT, row->name);
        inside = was_inside;
    }
    if (!inside && is_counted(row, regs, caller) && fail(row, regs, caller))
        return NULL;
    return row->real;
}

/* ---- how it is told ---- */

void inject_arm(unsigned classes, uint64_t at, uint64_t variant)
{
    atomic_store(&inject->classes, 0);
    inject->last[0] = '\0';
    atomic_store(&inject->at, at);
    atomic_store(&inject->variant, variant);
    atomic_store(&inject->calls, 0);
    atomic_store(&inject->failed, 0);
    atomic_store(&inject->classes, classes);
}

uint64_t inject_disarm(void)
{
    atomic_store(&inject->classes, 0);
    return atomic_load(&inject->calls);
}

static int find_code(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    struct code *code = program.end == 0 ? &program : &microhttpd; /* the program is first */
    if (code == &microhttpd && strstr(info->dlpi_name, "/libmicrohttpd.") == NULL)
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            code->begin = info->dlpi_addr + part->p_vaddr;
            code->end = code->begin + part->p_memsz;
        }
    }
    return 0;
}

/* "classes=1 at=17 variant=0 own=1 seed=3 rate=100", each of them optional. */
static void read_text(const char *text)
{
    const struct {
        const char *name;
        _Atomic uint64_t *value;
    } places[] = {{"at", &inject->at},           {"rate", &inject->rate}, {"seed", &inject->seed},
                  {"variant", &inject->variant}, {"own", &inject->own},   {"stop", &inject->stop},
                  {"classes", &inject->classes}};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        const size_t len = strlen(places[i].name);
        for (const char *found = text; found != NULL; found = strchr(found + 1, ' ')) {
            const char *begin = *found == ' ' ? found + 1 : found;
            if (strncmp(begin, places[i].name, len) == 0 && begin[len] == '=')
                atomic_store(places[i].value, strtoull(begin + len + 1, NULL, 0));
        }
    }
}

__attribute__((constructor)) static void begin(void)
{
    void *first[4];
    inside = true;
    backtrace(first, 4); /* loads what it needs now, not in the middle of a failure */
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i]->real == NULL)
            rows[i]->real = dlsym(RTLD_NEXT, rows[i]->name);
    }
    dl_iterate_phdr(find_code, NULL);
    const char *only = getenv("INJECT_PROGRAM"); /* and not what it starts */
    const bool wanted = only == NULL || strcmp(only, program_invocation_short_name) == 0;
    const char *path = wanted ? getenv("INJECT_FILE") : NULL;
    if (path != NULL) {
        const int fd = open(path, O_RDWR | O_CLOEXEC);
        void *map = mmap(NULL, sizeof *inject, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fd < 0 || map == MAP_FAILED)
            abort(); /* a test that believes it injects must not go on */
        close(fd);
        inject = map;
    }
    const char *text = wanted ? getenv("INJECT") : NULL;
    if (text != NULL)
        read_text(text);
    inside = false;
}
