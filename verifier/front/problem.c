#include "problem.h"

#include "common/protocol.h"

#define RETRY_TOO_FAST_S 1
#define RETRY_BUSY_S     5

static const int statuses[] = {
    [ERR_CLASS_NONE] = 500,     [ERR_CLASS_MALFORMED] = 400, [ERR_CLASS_UNAUTH] = 401,
    [ERR_CLASS_DENIED] = 403,   [ERR_CLASS_NOT_FOUND] = 404, [ERR_CLASS_METHOD] = 405,
    [ERR_CLASS_CONFLICT] = 409, [ERR_CLASS_TOO_LARGE] = 413, [ERR_CLASS_TOO_FAST] = 429,
    [ERR_CLASS_BUSY] = 503,     [ERR_CLASS_INTERNAL] = 500,
};

void answer_free(struct answer *answer)
{
    buf_free(&answer->body);
}

int problem_status(enum err code)
{
    return statuses[err_class(code)];
}

enum err problem_answer(const struct fault *fault, const char *request_id,
                        enum front_audience audience, struct answer *out)
{
    const struct fault bare = {.code = fault->code, .offset = FAULT_NO_OFFSET};
    const int status = problem_status(fault->code);
    /* What fails on our side is not for strangers: paths, SQL, revisions. */
    const bool ours = status >= 500;
    out->body.len = 0;
    TRY(problem_append(status, ours && audience == FRONT_PUBLIC ? &bare : fault, request_id,
                       &out->body));
    out->status = status;
    out->retry_after_s = status == 429 ? RETRY_TOO_FAST_S : status == 503 ? RETRY_BUSY_S : 0;
    if (out->retry_after_s != 0 && fault->retry_after_s != 0)
        out->retry_after_s = (int)fault->retry_after_s;
    return ERR_OK;
}
