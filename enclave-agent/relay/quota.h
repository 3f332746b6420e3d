/* What each enclave may use up: connections, and lines of the log.
 *
 * An enclave is a CID.  Those that were here last are remembered, connected or not, so that
 * connecting again gives no new lines.  Pure but for the moment that it is told. */
#ifndef VOUCHSAFE_RELAY_QUOTA_H
#define VOUCHSAFE_RELAY_QUOTA_H

#include "address.h"

/* An instance has at most four enclaves; the others here are those before them. */
#define QUOTA_PEERS 64

#define QUOTA_LINES_BURST 200 /* lines at once */
#define QUOTA_LINES_PER_S 50  /* and from then on */

struct quota {
    struct peer peer;
    bool used;            /* this place in the table */
    unsigned connections; /* open ones */
    int64_t seen_ms;
    int64_t lines_milli; /* thousandths of lines that may still come */
    uint64_t dropped;    /* lines, since that was last said */
};

struct quota_table {
    struct quota place[QUOTA_PEERS];
};

/* The peer's place, and one connection counted there; NULL where it has `max` already, or
 * every place belongs to a peer that is connected. */
struct quota *quota_enter(struct quota_table *table, struct peer peer, unsigned max,
                          int64_t now_ms);
void quota_leave(struct quota *quota);
/* True where one more line may be written; else it is counted as dropped. */
bool quota_line(struct quota *quota, int64_t now_ms);
/* How many lines were dropped since the last call that said so; 0 as long as a next line
 * would be dropped too, so that saying it adds little. */
uint64_t quota_take_dropped(struct quota *quota, int64_t now_ms);

#endif
