/* A file of the image with marks in it, and the same file with secrets in their place.
 * DESIGN section 8.
 *
 *     {{secret NAME}}            the value as it is, newlines too
 *     {{secret NAME | json}}     as a string of JSON, its quotes included (RFC 8259)
 *     {{secret NAME | base64}}   RFC 4648 section 4
 *     {{"{{"}}                   two braces
 *
 * Anything else behind two opening braces is a mistake: a mark that was mistyped must not
 * reach a program as its password.  Two closing braces mean nothing outside of a mark.
 * A template is measured with its image and is no secret; what is made of it is one, and
 * is in no other memory than a secret's. */
#ifndef VOUCHSAFE_AGENT_TEMPLATE_H
#define VOUCHSAFE_AGENT_TEMPLATE_H

#include "answer.h"

#define TEMPLATE_MARKS_MAX    64
#define TEMPLATE_SOURCE_MAX   65536
#define TEMPLATE_RENDERED_MAX 500000 /* with all secrets it fits into the locked memory */

enum template_form { TEMPLATE_PLAIN, TEMPLATE_JSON, TEMPLATE_BASE64 };

/* Text, and the secret that follows it. */
struct template_piece {
    struct bytes text;
    struct bytes name; /* empty: none follows */
    enum template_form form;
};

struct template_file {
    struct buf source;
    size_t count;
    struct template_piece piece[TEMPLATE_MARKS_MAX + 1]; /* views into `source` */
};
void template_free(struct template_file *file);

/* ERR_CONFIG with the line's number; ERR_NO_MEMORY. */
MUST_CHECK enum err template_parse(struct bytes source, struct template_file *out,
                                   struct fault *fault);
bool template_mentions(const struct template_file *file, const char *name);
/* Every secret that it mentions must be in `opened`.  ERR_DELIVER where a value cannot have
 * the form that is asked for, or the whole is too long; ERR_NO_MEMORY. */
MUST_CHECK enum err template_render(const struct template_file *file,
                                    const struct answer_opened *opened, struct secret **out,
                                    struct fault *fault);

#endif
