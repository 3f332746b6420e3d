#include "quota.h"

#define LINE_MILLI  1000
#define BURST_MILLI ((int64_t)QUOTA_LINES_BURST * LINE_MILLI)

static bool is_peer(const struct quota *quota, struct peer peer)
{
    return quota->used && quota->peer.kind == peer.kind && quota->peer.number == peer.number;
}

/* The peer's own place, or else an unused one, or else that of who left longest ago. */
static struct quota *find_place(struct quota_table *table, struct peer peer)
{
    struct quota *best = NULL;
    for (size_t i = 0; i < QUOTA_PEERS; i++) {
        struct quota *place = &table->place[i];
        if (is_peer(place, peer))
            return place;
        if (place->used && place->connections > 0)
            continue;
        if (best == NULL || (best->used && (!place->used || place->seen_ms < best->seen_ms)))
            best = place;
    }
    return best;
}

/* Lines come back with time, at QUOTA_LINES_PER_S thousandths a millisecond. */
static void refill(struct quota *quota, int64_t now_ms)
{
    const int64_t passed_ms = now_ms - quota->seen_ms;
    const int64_t missing = BURST_MILLI - quota->lines_milli;
    quota->seen_ms = now_ms;
    if (passed_ms >= missing / QUOTA_LINES_PER_S + 1)
        quota->lines_milli = BURST_MILLI;
    else
        quota->lines_milli += passed_ms * QUOTA_LINES_PER_S;
}

struct quota *quota_enter(struct quota_table *table, struct peer peer, unsigned max, int64_t now_ms)
{
    struct quota *place = find_place(table, peer);
    if (place == NULL)
        return NULL;
    if (!is_peer(place, peer))
        *place = (struct quota){
            .peer = peer, .used = true, .seen_ms = now_ms, .lines_milli = BURST_MILLI};
    if (place->connections >= max)
        return NULL;
    refill(place, now_ms);
    place->connections++;
    return place;
}

void quota_leave(struct quota *quota)
{
    quota->connections--;
}

bool quota_line(struct quota *quota, int64_t now_ms)
{
    refill(quota, now_ms);
    if (quota->lines_milli < LINE_MILLI) {
        quota->dropped++;
        return false;
    }
    quota->lines_milli -= LINE_MILLI;
    return true;
}

uint64_t quota_take_dropped(struct quota *quota, int64_t now_ms)
{
    refill(quota, now_ms);
    if (quota->lines_milli < LINE_MILLI)
        return 0;
    const uint64_t dropped = quota->dropped;
    quota->dropped = 0;
    return dropped;
}
