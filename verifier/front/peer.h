/* Who is at the other end, in words: for messages to the warden and for logs. */
#ifndef VOUCHSAFE_FRONT_PEER_H
#define VOUCHSAFE_FRONT_PEER_H

#include <sys/socket.h>

#include "verifier/warden/message.h"

/* "203.0.113.7:41234", "[2001:db8::1]:41234"; "unknown" for another family. */
void peer_of_address(const struct sockaddr *address, char out[static WARDEN_PEER_MAX + 1]);
/* "unix:uid=1000", as the kernel vouches for it (SO_PEERCRED); "unix" where it does not. */
void peer_of_unix(int fd, char out[static WARDEN_PEER_MAX + 1]);

#endif
