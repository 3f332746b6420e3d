/* What is to become of each secret: the settings `deliver` and `dir`, read and checked before
 * anything is asked for.  handover.c does it.  DESIGN section 8.
 *
 *     NAME=memfd                                         the default
 *     NAME=file:PATH[,mode=0400][,owner=UID[:GID]]
 *     NAME=template:SOURCE:PATH[,mode=...][,owner=...]
 *     NAME=env:VARIABLE
 *
 * A secret may go to several places.  Those that share a template name it alike, and are the
 * ones that it mentions.  Owners are numbers: an image need not have a file of users. */
#ifndef VOUCHSAFE_AGENT_DELIVERY_PLAN_H
#define VOUCHSAFE_AGENT_DELIVERY_PLAN_H

#include "deliver.h"
#include "template.h"

#define DELIVERIES_MAX 32

enum delivery_kind { DELIVERY_MEMFD, DELIVERY_FILE, DELIVERY_TEMPLATE, DELIVERY_ENV };

struct delivery {
    enum delivery_kind kind;
    uint32_t secrets;   /* a bit for each, by its place in the list of those wanted */
    const char *secret; /* the name of the first */
    const char *dir;    /* of a file that --dir asked for, else NULL */
    char *place;        /* the file's path, or the variable; NULL: none */
    struct deliver_access access;
    char *source; /* of a template */
    struct template_file *template_file;
};

struct delivery_plan {
    size_t count;
    struct delivery item[DELIVERIES_MAX];
};
void delivery_plan_free(struct delivery_plan *plan);

/* One NAME=HOW.  Names are borrowed from `wanted`.  ERR_USAGE; of a template also ERR_FILE,
 * and ERR_CONFIG for what is wrong in it. */
MUST_CHECK enum err delivery_plan_add(struct delivery_plan *plan, const struct wanted_list *wanted,
                                      const char *text, struct fault *fault);
/* Those that nobody named go to DIR/NAME, or to a memfd where `dir` is NULL; then the whole
 * is checked: no two files or variables in one place, templates and secrets agree.
 * ERR_USAGE, ERR_CONFIG, ERR_NO_MEMORY. */
MUST_CHECK enum err delivery_plan_finish(struct delivery_plan *plan,
                                         const struct wanted_list *wanted, const char *dir,
                                         struct fault *fault);

/* Whether it can be replaced while the program runs: a file. */
bool delivery_is_file(const struct delivery *delivery);
/* "memfd", for people. */
const char *delivery_kind_name(enum delivery_kind kind);
/* The variable that tells the program; false where it has none. */
bool delivery_variable(const struct delivery *delivery, char out[static DELIVER_VARIABLE_MAX]);

#endif
