/* How builds are used: what a decision counts, and what reads it. */
#include "store_sqlite_fixture.h"

#define NOW_MS  (CREATED_MS + 1u) /* of the first decision's record */
#define TODAY   (NOW_MS / STORE_DAY_MS)
#define BUILD   1
#define NOTHING UINT64_MAX

/* --- what is on the disk --- */

struct seen {
    size_t count;
    struct store_use use[4];
    size_t day_count;
    uint64_t day[500], releases[500];
    size_t enclave_count;
    struct enclave_use enclave[8];
    char module[8][8];
};

static enum err see_use(const struct store_use *use, void *context)
{
    struct seen *seen = context;
    ck_assert_uint_lt(seen->count, ARRAY_LEN(seen->use));
    seen->use[seen->count++] = *use;
    return ERR_OK;
}

static enum err see_day(uint64_t day, uint64_t releases, void *context)
{
    struct seen *seen = context;
    ck_assert_uint_lt(seen->day_count, ARRAY_LEN(seen->day));
    seen->day[seen->day_count] = day;
    seen->releases[seen->day_count++] = releases;
    return ERR_OK;
}

static enum err see_enclave(const struct enclave_use *use, void *context)
{
    struct seen *seen = context;
    ck_assert_uint_lt(seen->enclave_count, ARRAY_LEN(seen->enclave));
    snprintf(seen->module[seen->enclave_count], 8, "%.*s", (int)use->module_id.len,
             (const char *)use->module_id.ptr);
    seen->enclave[seen->enclave_count++] = *use;
    return ERR_OK;
}

static void look(struct fixture *f, struct seen *seen)
{
    *seen = (struct seen){.count = 0};
    ck_ok(f->ops->use_scan(f->store, 1, 9, see_use, seen, &f->fault));
    ck_ok(f->ops->use_day_scan(f->store, BUILD, 0, see_day, seen, &f->fault));
    ck_ok(f->ops->enclave_scan(f->store, BUILD, 0, 100, see_enclave, seen, &f->fault));
}

static void demand_nothing(struct fixture *f)
{
    struct seen seen;
    look(f, &seen);
    ck_assert_uint_eq(seen.count, 0);
    ck_assert_uint_eq(seen.day_count, 0);
    ck_assert_uint_eq(seen.enclave_count, 0);
}

/* --- decisions --- */

struct given {
    uint8_t number;
    const char *module_id;
    uint64_t time_ms;
    uint64_t by[2]; /* the builds that granted the versions 1 and 2; NOTHING: not asked for */
};

static void give(struct fixture *f, const struct given *given)
{
    CLEANUP(store_outcome_free) struct store_outcome out = {0};
    struct decision decision;
    decision_make(&decision, f, given->number, given->module_id);
    decision.audit[0].time_ms = given->time_ms;
    decision.d.sealed_count = 0;
    for (uint32_t i = 0; i < 2; i++) {
        const size_t n = decision.d.sealed_count;
        if (given->by[i] == NOTHING)
            continue;
        decision.d.wanted[n] = (struct sealed_ref){SECRET_ID, i + 1};
        decision.d.measurement_id[n] = given->by[i];
        decision.d.sealed_count++;
    }
    ck_assert_msg(decision_commit(f, &decision, &out) == ERR_OK, "%s", f->fault.detail);
}

/* A second build, and a second version of the secret. */
static void grow(struct fixture *f)
{
    CLEANUP(rows_free) struct rows change = {0};
    const struct sealed_value sealed = {SECRET_ID, 2, bytes_of_text("two")};
    rows_add(&change, POLICY_MEASUREMENT, 2, 2, "utuubbunubtu", U(1), "1.4.3", U(0), U(0), "q", "r",
             U(2), U(INT64_MAX), "", "by hand", U(0));
    ck_ok(fixture_change(f, &change, &(struct store_change){.sealed_count = 1, .sealed = &sealed}));
}

STORE_TEST(valid_counts)
{
    static const struct given given[] = {
        {1, "i-1", NOW_MS, {BUILD, BUILD}}, /* one release, of two values */
        {2, "i-1", NOW_MS + 5, {BUILD, NOTHING}},
        {3, "i-2", NOW_MS + 9, {NOTHING, BUILD}},
        {4, "i-2", NOW_MS + STORE_DAY_MS, {BUILD, 2}},
        {5, "i-3", NOW_MS + 7, {0, 0}}, /* by a signer: no build of ours */
    };
    struct seen seen;
    grow(f);
    demand_nothing(f);
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        give(f, &given[i]);
    fixture_reopen(f);
    look(f, &seen);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_uint_eq(seen.use[0].measurement_id, BUILD);
    ck_assert_uint_eq(seen.use[0].counted_from_ms, 0);
    ck_assert_uint_eq(seen.use[0].first_ms, NOW_MS);
    ck_assert_uint_eq(seen.use[0].last_ms, NOW_MS + STORE_DAY_MS);
    ck_assert_uint_eq(seen.use[0].releases, 4);
    ck_assert_uint_eq(seen.use[0].enclaves, 2);
    ck_assert_uint_eq(seen.use[1].measurement_id, 2);
    ck_assert_uint_eq(seen.use[1].first_ms, NOW_MS + STORE_DAY_MS);
    ck_assert_uint_eq(seen.use[1].releases, 1);
    ck_assert_uint_eq(seen.use[1].enclaves, 1);
    ck_assert_uint_eq(seen.day_count, 2);
    ck_assert_uint_eq(seen.day[0], TODAY);
    ck_assert_uint_eq(seen.releases[0], 3);
    ck_assert_uint_eq(seen.day[1], TODAY + 1);
    ck_assert_uint_eq(seen.releases[1], 1);
    ck_assert_uint_eq(seen.enclave_count, 4);
    ck_assert_str_eq(seen.module[0], "i-1");
    ck_assert_uint_eq(seen.enclave[0].secret_id, SECRET_ID);
    ck_assert_uint_eq(seen.enclave[0].version, 1);
    ck_assert_uint_eq(seen.enclave[0].first_ms, NOW_MS);
    ck_assert_uint_eq(seen.enclave[0].last_ms, NOW_MS + 5);
    ck_assert_uint_eq(seen.enclave[0].releases, 2);
    ck_assert_uint_eq(seen.enclave[1].version, 2);
    ck_assert_uint_eq(seen.enclave[1].releases, 1);
    ck_assert_str_eq(seen.module[2], "i-2");
    ck_assert_uint_eq(seen.enclave[2].version, 2);
    ck_assert_uint_eq(seen.enclave[3].version, 1);
}

/* A clock that goes back makes nothing older than it was, nor younger. */
STORE_TEST(valid_clock_back)
{
    struct seen seen;
    give(f, &(struct given){1, "i-1", NOW_MS, {BUILD, NOTHING}});
    give(f, &(struct given){2, "i-1", NOW_MS - 3 * STORE_DAY_MS, {BUILD, NOTHING}});
    look(f, &seen);
    ck_assert_uint_eq(seen.use[0].first_ms, NOW_MS - 3 * STORE_DAY_MS);
    ck_assert_uint_eq(seen.use[0].last_ms, NOW_MS);
    ck_assert_uint_eq(seen.enclave[0].first_ms, NOW_MS - 3 * STORE_DAY_MS);
    ck_assert_uint_eq(seen.enclave[0].last_ms, NOW_MS);
    ck_assert_uint_eq(seen.day[0], TODAY - 3);
}

STORE_TEST(valid_days_bounded)
{
    struct seen seen;
    for (unsigned i = 0; i < 3; i++)
        give(f, &(struct given){(uint8_t)i, "i-1", NOW_MS + i * STORE_DAY_MS, {BUILD, NOTHING}});
    give(f,
         &(struct given){3, "i-1", NOW_MS + (STORE_USE_DAYS + 1) * STORE_DAY_MS, {BUILD, NOTHING}});
    look(f, &seen);
    ck_assert_uint_eq(seen.day_count, 2); /* TODAY and the day after are gone */
    ck_assert_uint_eq(seen.day[0], TODAY + 2);
    ck_assert_uint_eq(seen.use[0].releases, 4); /* and still counted */
    seen.day_count = 0;
    ck_ok(f->ops->use_day_scan(f->store, BUILD, TODAY + 3, see_day, &seen, &f->fault));
    ck_assert_uint_eq(seen.day_count, 1);
}

/* What is no release counts nothing. */
STORE_TEST(no_release)
{
    CLEANUP(store_outcome_free) struct store_outcome out = {0};
    struct decision decision;
    decision_make(&decision, f, 1, "i-1");
    decision.d.measurement_id[0] = BUILD;
    decision.d.wanted[0].version = 9; /* fails after the counting */
    ck_err(decision_commit(f, &decision, &out), ERR_STORE);
    demand_nothing(f);
    decision.d.wanted[0].version = 1;
    decision.d.quota_count = 1;
    decision.d.quota[0] = (struct quota_use){GRANT_ID, 0};
    ck_ok(decision_commit(f, &decision, &out));
    ck_assert(out.over_quota);
    demand_nothing(f);
    decision_make(&decision, f, 2, "i-1");
    decision.d.measurement_id[0] = BUILD;
    decision.d.granted = false;
    ck_ok(decision_commit(f, &decision, &out));
    demand_nothing(f);
    decision_make(&decision, f, 3, "i-1");
    decision.d.measurement_id[0] = 9; /* no such build */
    ck_err(decision_commit(f, &decision, &out), ERR_STORE);
    ck_ok(f->ops->check_redeemed(f->store, decision.d.challenge, &f->fault));
    demand_nothing(f);
}

STORE_TEST(valid_enclave_pages)
{
    struct seen seen = {.count = 0};
    char module[8];
    for (uint8_t i = 1; i <= 5; i++) {
        snprintf(module, sizeof module, "i-%u", i);
        give(f, &(struct given){i, module, NOW_MS + i, {i == 3 ? 0 : BUILD, NOTHING}});
    }
    ck_ok(f->ops->enclave_scan(f->store, BUILD, 0, 2, see_enclave, &seen, &f->fault));
    ck_assert_uint_eq(seen.enclave_count, 2);
    ck_ok(f->ops->enclave_scan(f->store, BUILD, seen.enclave[1].id, 2, see_enclave, &seen,
                               &f->fault));
    ck_assert_uint_eq(seen.enclave_count, 4);
    ck_assert_str_eq(seen.module[1], "i-2");
    ck_assert_str_eq(seen.module[2], "i-4");
    ck_assert_str_eq(seen.module[3], "i-5");
    ck_ok(f->ops->enclave_scan(f->store, 2, 0, 9, see_enclave, &seen, &f->fault));
    ck_assert_uint_eq(seen.enclave_count, 4);
}

/* With the change that activates it: all or nothing. */
STORE_TEST(valid_begin)
{
    struct seen seen;
    const uint64_t first_ms = CREATED_MS + f->sequence;
    ck_ok(fixture_change(f, NULL, &(struct store_change){.activated_id = BUILD}));
    give(f, &(struct given){1, "i-1", NOW_MS + 9, {BUILD, NOTHING}});
    look(f, &seen);
    ck_assert_uint_eq(seen.use[0].counted_from_ms, first_ms);
    ck_assert_uint_eq(seen.use[0].first_ms, NOW_MS + 9);
    ck_assert_uint_eq(seen.use[0].releases, 1);
    ck_assert_uint_eq(seen.use[0].enclaves, 1);
    const uint64_t again_ms = CREATED_MS + f->sequence;
    ck_ok(fixture_change(f, NULL, &(struct store_change){.activated_id = BUILD}));
    ck_err(fixture_change(f, NULL, &(struct store_change){.activated_id = 9}), ERR_STORE);
    look(f, &seen);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_uint_eq(seen.use[0].counted_from_ms, again_ms);
    ck_assert_uint_eq(seen.use[0].last_ms, NOW_MS + 9);
    ck_assert_uint_eq(seen.use[0].releases, 1);
}

static enum err stop_at_once(const struct store_use *use, void *context)
{
    (void)use;
    (void)context;
    return ERR_BUSY;
}

STORE_TEST(wrong_callback)
{
    give(f, &(struct given){1, "i-1", NOW_MS, {BUILD, NOTHING}});
    ck_err(f->ops->use_scan(f->store, 1, 9, stop_at_once, NULL, &f->fault), ERR_BUSY);
    struct seen seen = {.count = 0};
    ck_ok(f->ops->use_scan(f->store, 2, 9, see_use, &seen, &f->fault));
    ck_assert_uint_eq(seen.count, 0);
}

/* Builds of an older store were used before anybody counted: they are counted from then on. */
SQLITE_TEST(valid_upgrade, fixture_make)
{
    struct seen seen;
    size_t i = 0;
    while (strstr(sqlite_migrations[i].name, "_use.sql") == NULL)
        i++;
    fixture_close(f);
    tamper(f, "DROP TABLE enclave_use; DROP TABLE measurement_day; DROP TABLE measurement_use");
    tamper(f, sqlite_migrations[i].sql);
    ck_ok(fixture_open(f));
    look(f, &seen);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_uint_eq(seen.use[0].measurement_id, BUILD);
    ck_assert_uint_eq(seen.use[0].counted_from_ms, CREATED_MS); /* the newest audit record */
    ck_assert_uint_eq(seen.use[0].last_ms, 0);
    ck_assert_uint_eq(seen.use[0].releases, 0);
    give(f, &(struct given){1, "i-1", NOW_MS, {BUILD, NOTHING}});
    look(f, &seen);
    ck_assert_uint_eq(seen.use[0].first_ms, NOW_MS);
    ck_assert_uint_eq(seen.use[0].enclaves, 1);
}

/* Somebody who writes the file gets an error, not a wrong figure. */
SQLITE_TEST(wrong_figures, fixture_make)
{
    struct seen seen = {.count = 0};
    give(f, &(struct given){1, "i-1", NOW_MS, {BUILD, NOTHING}});
    tamper(f, "UPDATE measurement_use SET releases = -1");
    ck_err(f->ops->use_scan(f->store, 1, 9, see_use, &seen, &f->fault), ERR_STORE_TAMPERED);
    tamper(f, "UPDATE measurement_day SET releases = -1");
    ck_err(f->ops->use_day_scan(f->store, BUILD, 0, see_day, &seen, &f->fault), ERR_STORE_TAMPERED);
    tamper(f, "UPDATE enclave_use SET version = 1 << 32");
    ck_err(f->ops->enclave_scan(f->store, BUILD, 0, 9, see_enclave, &seen, &f->fault),
           ERR_STORE_TAMPERED);
    ck_assert_uint_eq(seen.count + seen.day_count + seen.enclave_count, 0);
}

UNIT_MAIN("store_use", valid_counts, valid_clock_back, valid_days_bounded, no_release,
          valid_enclave_pages, valid_begin, wrong_callback, valid_upgrade, wrong_figures)
