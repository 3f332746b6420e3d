/* One request and its answer, between libmicrohttpd's callbacks and the routes.
 * For front's own files; the only header that includes <microhttpd.h>. */
#ifndef VOUCHSAFE_FRONT_EXCHANGE_H
#define VOUCHSAFE_FRONT_EXCHANGE_H

#include <microhttpd.h>

#include "serving.h"

/* A listener as its requests see it: the `cls` of all callbacks. */
struct door {
    struct serving *serving;
    enum front_audience audience;
    bool is_unix;
};

/* MHD_OPTION_URI_LOG_CALLBACK: the only place where the target is seen undecoded. */
void *exchange_begin(void *cls, const char *target, struct MHD_Connection *connection);
/* The access handler: once for the head, then for each piece of the body, then once
 * for the whole. */
enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_len, void **context);
/* MHD_OPTION_NOTIFY_COMPLETED */
void exchange_end(void *cls, struct MHD_Connection *connection, void **context,
                  enum MHD_RequestTerminationCode code);
/* MHD_OPTION_NOTIFY_CONNECTION: puts the connection under the reaper. */
void exchange_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                         enum MHD_ConnectionNotificationCode code);

#endif
