/* What the admin operations share: paged lists, a few parameters, what one shows of another. */
#ifndef VOUCHSAFE_WARDEN_ADMIN_LIST_H
#define VOUCHSAFE_WARDEN_ADMIN_LIST_H

#include "admin.h"

#define ADMIN_LIMIT_DEFAULT 100
#define ADMIN_LIMIT_MAX     1000

/* Looked at in one call, wanted or not: where few of many are, a page may be short. */
#define ADMIN_LOOK_MAX 10000

typedef bool admin_wanted_fn(const struct policy *policy, uint64_t id, const void *context);
typedef enum err admin_show_fn(const struct policy *policy, uint64_t id, const void *context,
                               json_t *object);

/* The parameters `after` (0 where absent) and `limit`. */
MUST_CHECK enum err admin_page(struct admin_call *call, uint64_t *after, uint64_t *limit);

/* The row to look at after row `after`; 0 at the end. */
typedef uint64_t admin_next_fn(const struct policy *policy, uint64_t after, const void *context);

struct admin_rows {
    const char *member;      /* of the answer */
    uint64_t count;          /* of the table's rows */
    admin_next_fn *next;     /* NULL: one row after the other */
    admin_wanted_fn *wanted; /* NULL: all */
    admin_show_fn *show;
    const void *context; /* of all three */
};

/* Sets `member` to the wanted rows after parameter `after`, at most `limit` of them and of
 * ADMIN_LOOK_MAX that were looked at, and `next` where there may be more.  Between ledger_read
 * and ledger_done: it pauses now and then, so that a page holds up neither change nor release. */
MUST_CHECK enum err admin_list_rows(struct admin_call *call, const struct policy *policy,
                                    const struct admin_rows *rows, json_t *out);

/* The same, one row after the other. */
MUST_CHECK enum err admin_list(struct admin_call *call, const struct policy *policy,
                               const char *member, uint64_t count, admin_wanted_fn *wanted,
                               admin_show_fn *show, const void *context, json_t *out);

/* An optional parameter, RFC 3339; `*out` stays as it was where it is absent. */
MUST_CHECK enum err admin_read_time(struct admin_call *call, const char *name, uint64_t *out);
/* The parameters not_before and not_after, RFC 3339; POLICY_NO_TIME where absent. */
MUST_CHECK enum err admin_window(struct admin_call *call, uint64_t *not_before_ms,
                                 uint64_t *not_after_ms);

/* The parameter `at`: the time to judge a document at; absent: now.  ATTEST_AT_DOCUMENT for
 * "document", the document's own. */
MUST_CHECK enum err admin_at(struct admin_call *call, int64_t *now_ms);

/* One grant as `grant list` shows it.  Under ledger_read. */
MUST_CHECK enum err admin_show_grant(struct admin_call *call, const struct policy *policy,
                                     uint64_t id, json_t *object);

/* ERR_MALFORMED unless `value` is one of the texts. */
MUST_CHECK enum err admin_one_of_list(struct admin_call *call, const char *name, const char *value,
                                      const char *const *texts);
#define admin_one_of(call, name, value, ...) \
    admin_one_of_list((call), (name), (value), (const char *const[]){__VA_ARGS__, NULL})

#endif
