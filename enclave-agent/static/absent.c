/* What libcrypto.a names and glibc cannot keep in a static program: its resolver and its loader
 * would open shared libraries of the very same glibc, in an image that has none.
 *
 * Nothing that the agent does comes here: addresses are literal (http_lookup_literal.c), no
 * openssl.cnf is read, no engine and no provider is loaded.  With these in their place the linker
 * leaves the resolver out, and whatever should come here all the same is refused. */
#include <dlfcn.h>
#include <netdb.h>
#include <stddef.h>

int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    (void)name;
    (void)service;
    (void)hints;
    (void)out;
    return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *list)
{
    (void)list; /* there never was one */
}

const char *gai_strerror(int code)
{
    (void)code;
    return "a static program resolves no names";
}

/* NOLINTBEGIN(readability-non-const-parameter): as netdb.h has it */
int getnameinfo(const struct sockaddr *restrict address, socklen_t address_len, char *restrict host,
                socklen_t host_len, char *restrict service, socklen_t service_len, int flags)
{
    (void)address;
    (void)address_len;
    (void)host;
    (void)host_len;
    (void)service;
    (void)service_len;
    (void)flags;
    return EAI_FAIL;
}
/* NOLINTEND(readability-non-const-parameter) */

struct hostent *gethostbyname(const char *name)
{
    (void)name;
    return NULL;
}

void *dlopen(const char *path, int mode)
{
    (void)path;
    (void)mode;
    return NULL;
}

void *dlsym(void *restrict handle, const char *restrict name)
{
    (void)handle;
    (void)name;
    return NULL;
}

int dlclose(void *handle)
{
    (void)handle;
    return -1;
}

char *dlerror(void)
{
    static char sentence[] = "a static program loads no libraries";
    return sentence;
}
