/* The program that `run` becomes: found before anything is asked for, so that a mistyped
 * name costs no release, and put in the agent's place at the end. */
#ifndef VOUCHSAFE_AGENT_PROGRAM_H
#define VOUCHSAFE_AGENT_PROGRAM_H

#include <limits.h>

#include "common/err.h"

/* As execvp looks: a name with a slash is a path, others are searched for in $PATH.
 * ERR_NOT_FOUND, or ERR_WRONG_STATE for what is there and cannot be executed. */
MUST_CHECK enum err program_find(const char *name, char path[static PATH_MAX], struct fault *fault);

/* Returns only where it fails, with the same errors. */
enum err program_exec(const char *path, const char *const *argv, const char *const *environment,
                      struct fault *fault);

#endif
