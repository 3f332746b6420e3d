/* What the first process of an enclave does before anything else, where the agent is /init
 * of an image and no other init is: file systems, console, the loopback interface, the module's
 * driver, and the word to whoever launched it.  In the order of the init that nitro-cli builds into
 * its images; unlike that one it mounts cgroups as one hierarchy, brings lo up, and needs no
 * /rootfs, /cmd or /env.
 *
 * Each step is idempotent: what is there already is left alone. */
#ifndef VOUCHSAFE_AGENT_BOOT_H
#define VOUCHSAFE_AGENT_BOOT_H

#include "common/err.h"

#define BOOT_NSM_DRIVER        "/nsm.ko"
#define BOOT_HEARTBEAT_PORT    9000
#define BOOT_HEARTBEAT_WAIT_MS 20000

/* Whether this is the first process of a machine: it has number 1 and is called init.  One
 * that a container engine started has the number, too, and goes by its own name. */
bool boot_is_machine(const char *called);

/* /dev, /proc, /sys and so on, and the links in /dev.  ERR_INTERNAL names the file system and
 * what the kernel lacks. */
MUST_CHECK enum err boot_mount(struct fault *fault);
/* Standard descriptors that are closed become the console; where there is none, /dev/null. */
void boot_console(void);
/* Brings lo up, which no kernel does by itself: without it nothing in the machine can connect to
 * 127.0.0.1.  ERR_INTERNAL. */
MUST_CHECK enum err boot_loopback(struct fault *fault);
/* Loads the driver at `path`, for kernels that have none built in; no such file: nothing is
 * done.  ERR_NSM. */
MUST_CHECK enum err boot_load_nsm(const char *path, struct fault *fault);
/* nitro-cli waits for this before it calls an enclave started: a byte to the parent, and the
 * same byte back.  ERR_UNREACHABLE. */
MUST_CHECK enum err boot_heartbeat(uint32_t parent_cid, struct fault *fault);
/* The same over a connection; the caller's, and left open. */
MUST_CHECK enum err boot_heartbeat_over(int fd, int wait_ms, struct fault *fault);

/* The end of the machine.  A first process that just ended would make the kernel panic. */
_Noreturn void boot_halt(void);

#endif
