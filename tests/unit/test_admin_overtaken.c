/* Operations that a change overtakes, on purpose: the moments are made, and not waited for. */
#include "release_fixture.h"

#include "verifier/warden/ledger.h"

/* What happens where an operation pauses: the first time, once. */
static void (*in_pause)(struct warden_fixture *f);
static struct warden_fixture *fixture;
static unsigned pauses;

uint64_t __real_ledger_pause(struct ledger *ledger);
uint64_t __wrap_ledger_pause(struct ledger *ledger);

uint64_t __wrap_ledger_pause(struct ledger *ledger)
{
    uint64_t revision;
    pauses++;
    ledger_done(ledger);
    if (in_pause != NULL)
        TAKE(in_pause)(fixture);
    (void)ledger_read(ledger, &revision);
    return __real_ledger_pause(ledger);
}

/* --- Lists of what is unused --- */

#define ROWS 40 /* of which the last is activated after the first was looked at */

static void activate_last(struct warden_fixture *f)
{
    json_auto_t *changed = admin_do(f, "measurement.activate",
                                    PARAMS(p_text("image", "payments"), p_text("version", "40")));
    ck_assert_str_eq(text_at(changed, "result"), "changed");
}

static void add_rows(struct warden_fixture *f)
{
    for (unsigned i = 1; i <= ROWS; i++) {
        struct mkdoc_fields fields;
        CLEANUP(buf_free) struct buf pcrs = {0};
        char version[8];
        mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, i);
        pcr_map(&fields, 7, &pcrs);
        snprintf(version, sizeof version, "%u", i);
        json_decref(admin_do(f, "measurement.add",
                             PARAMS(p_text("image", "payments"), p_text("version", version),
                                    p_map("pcrs", &pcrs), p_bool("draft", i == ROWS))));
    }
}

/* A month-old draft that was just activated is not unused for a month: a row is judged by its
 * state and its use of one time. */
START_TEST(valid_activated_beside_a_page)
{
    FIXTURE(f);
    fixture = &f;
    add_rows(&f);
    advance_ms(30 * (int64_t)DAY_MS);
    in_pause = activate_last;
    json_auto_t *page =
        admin_do(&f, "measurement.list", PARAMS(p_text("unused_since", "2026-12-15T00:00:00Z")));
    ck_assert_uint_eq(pauses, ROWS / 16);
    ck_assert_uint_eq(json_array_size(json_at(page, "measurements")), ROWS - 1);
    ck_assert_uint_eq(uint_at(page, "measurements.38.id"), ROWS - 1);
}
END_TEST

UNIT_MAIN("admin_overtaken", valid_activated_beside_a_page)
