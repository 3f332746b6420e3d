/* What is to become of each secret: what is taken, and what cannot stand side by side. */
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "enclave-agent/delivery_plan.h"

static struct fault fault;
static struct wanted_list wanted;
static char path[64];

static void want(const char *name)
{
    ck_ok(wanted_add(&wanted, bytes_of_text(name), 0, 0, NULL));
}

/* Adds all of them up to NULL; the plan is the caller's, and empty after a failure. */
static enum err plan_of(const char *const *texts, const char *dir, struct delivery_plan *plan)
{
    fault = (struct fault)FAULT_NONE;
    enum err err = ERR_OK;
    for (; *texts != NULL && err == ERR_OK; texts++)
        err = delivery_plan_add(plan, &wanted, *texts, &fault);
    if (err == ERR_OK)
        err = delivery_plan_finish(plan, &wanted, dir, &fault);
    if (err != ERR_OK)
        delivery_plan_free(plan);
    return err;
}

#define PLAN(plan, dir, ...) plan_of((const char *const[]){__VA_ARGS__, NULL}, dir, plan)

static const char *template_with(const char *text)
{
    snprintf(path, sizeof path, "/tmp/test_agent_delivery.XXXXXX");
    const int fd = mkstemp(path);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

START_TEST(valid_default)
{
    want("db/main");
    want("x");
    struct delivery_plan plan = {0};
    char variable[DELIVER_VARIABLE_MAX];
    ck_ok(plan_of((const char *const[]){NULL}, NULL, &plan));
    ck_assert_uint_eq(plan.count, 2);
    ck_assert_int_eq(plan.item[0].kind, DELIVERY_MEMFD);
    ck_assert_uint_eq(plan.item[0].secrets, 1);
    ck_assert_uint_eq(plan.item[1].secrets, 2);
    ck_assert_str_eq(plan.item[1].secret, "x");
    ck_assert(!delivery_is_file(&plan.item[0]));
    ck_assert(delivery_variable(&plan.item[0], variable));
    ck_assert_str_eq(variable, "DB_MAIN_FILE");
    delivery_plan_free(&plan);

    ck_ok(PLAN(&plan, "/d", "x=memfd"));
    ck_assert_uint_eq(plan.count, 2);
    ck_assert_int_eq(plan.item[0].kind, DELIVERY_MEMFD);
    ck_assert_int_eq(plan.item[1].kind, DELIVERY_FILE);
    ck_assert_str_eq(plan.item[1].place, "/d/db/main");
    ck_assert_str_eq(plan.item[1].dir, "/d");
    ck_assert(delivery_is_file(&plan.item[1]));
    delivery_plan_free(&plan);
}
END_TEST

START_TEST(valid_kinds)
{
    want("a");
    want("b");
    struct delivery_plan plan = {0};
    char variable[DELIVER_VARIABLE_MAX];
    ck_ok(PLAN(&plan, NULL, "a=file:/r/a,mode=0440,owner=1000:0", "b=file:/r/b,owner=7",
               "a=env:TOKEN_1"));
    ck_assert_uint_eq(plan.count, 3);
    ck_assert_str_eq(plan.item[0].place, "/r/a");
    ck_assert_ptr_null(plan.item[0].dir);
    ck_assert_uint_eq(plan.item[0].access.mode, 0440);
    ck_assert_uint_eq(plan.item[0].access.uid, 1000);
    ck_assert_uint_eq(plan.item[0].access.gid, 0);
    ck_assert_uint_eq(plan.item[1].access.mode, 0400);
    ck_assert_uint_eq(plan.item[1].access.uid, 7);
    ck_assert_uint_eq(plan.item[1].access.gid, DELIVER_OWN);
    ck_assert_int_eq(plan.item[2].kind, DELIVERY_ENV);
    ck_assert(!delivery_is_file(&plan.item[2]));
    ck_assert(delivery_variable(&plan.item[2], variable));
    ck_assert_str_eq(variable, "TOKEN_1");
    delivery_plan_free(&plan);
}
END_TEST

START_TEST(valid_template)
{
    want("a");
    want("b");
    want("c");
    char one[128];
    char two[128];
    snprintf(one, sizeof one, "a=template:%s:/r/conf,mode=440",
             template_with("{{secret b}}{{secret a}}"));
    snprintf(two, sizeof two, "b=template:%s:/r/conf,mode=0440", path);
    struct delivery_plan plan = {0};
    char variable[DELIVER_VARIABLE_MAX];
    ck_ok(PLAN(&plan, NULL, one, "b=memfd", two));
    ck_assert_uint_eq(plan.count, 3); /* and c */
    ck_assert_int_eq(plan.item[0].kind, DELIVERY_TEMPLATE);
    ck_assert_uint_eq(plan.item[0].secrets, 3);
    ck_assert_str_eq(plan.item[0].place, "/r/conf");
    ck_assert(delivery_is_file(&plan.item[0]));
    ck_assert(!delivery_variable(&plan.item[0], variable));
    delivery_plan_free(&plan);

    ck_err(PLAN(&plan, NULL, one), ERR_CONFIG);
    ck_assert_msg(strstr(fault.detail, " mentions b: deliver = b=template:... has to say so"), "%s",
                  fault.detail);
    snprintf(two, sizeof two, "b=template:%s:/r/conf,mode=0400", path);
    ck_err(PLAN(&plan, NULL, one, two), ERR_CONFIG); /* two files of one name, each of one */
    snprintf(two, sizeof two, "c=template:%s:/r/conf,mode=0440", path);
    ck_err(PLAN(&plan, NULL, one, two), ERR_CONFIG);
    ck_assert_msg(strstr(fault.detail, " has no mark {{secret c}}"), "%s", fault.detail);
    unlink(path);
    ck_err(PLAN(&plan, NULL, one), ERR_FILE);
    snprintf(one, sizeof one, "a=template:%s:/r/conf", template_with("\n{{ secert a}}"));
    ck_err(PLAN(&plan, NULL, one), ERR_CONFIG);
    ck_assert_msg(strstr(fault.detail, ": line 2: \"{{ secert a}}\": a mark is"), "%s",
                  fault.detail);
    unlink(path);
}
END_TEST

START_TEST(wrong_texts)
{
    static const char *const rows[][2] = {
        {"a", "deliver \"a\" is not NAME=HOW"},
        {"b=memfd", "deliver \"b=memfd\": no such secret is asked for"},
        {"=memfd", "deliver \"=memfd\": no such secret is asked for"},
        {"a=", "deliver \"a=\": secrets go to memfd, file:, template: or env:"},
        {"a=disk:/x", "deliver \"a=disk:/x\": secrets go to"},
        {"a=memfd:", "deliver \"a=memfd:\" is not a=memfd"},
        {"a=file", "deliver \"a=file\" is not a=file:PATH[,mode=0400][,owner=UID[:GID]]"},
        {"a=file:", "deliver \"a=file:\": the path of a file begins with /"},
        {"a=file:r/x", "deliver \"a=file:r/x\": the path of a file begins with /"},
        {"a=file:/", "deliver \"a=file:/\": the path of a file begins with /"},
        {"a=file:/r/", "deliver \"a=file:/r/\": the path of a file begins with /"},
        {"a=file:/r//x", "deliver \"a=file:/r//x\": a path without //, /./ and /../"},
        {"a=file:/./x", "deliver \"a=file:/./x\": a path without"},
        {"a=file:/r/../x", "deliver \"a=file:/r/../x\": a path without"},
        {"a=file:/r/..", "deliver \"a=file:/r/..\": a path without"},
        {"a=file:/r/x,", "deliver \"a=file:/r/x,\" is not a=file:"},
        {"a=file:/r/x,0440", "deliver \"a=file:/r/x,0440\" is not a=file:"},
        {"a=file:/r/x,mode=", "deliver \"a=file:/r/x,mode=\" is not a=file:"},
        {"a=file:/r/x,mode=0400,mode=0400", "deliver \"a=file:/r/x,mode=0400,mode=0400\" is not"},
        {"a=file:/r/x,owner=1,owner=1", "deliver \"a=file:/r/x,owner=1,owner=1\" is not"},
        {"a=file:/r/x,mode=0480", "deliver \"a=file:/r/x,mode=0480\": a mode is octal"},
        {"a=file:/r/x,mode=4755", "deliver \"a=file:/r/x,mode=4755\": a mode is octal"},
        {"a=file:/r/x,mode=04000", "deliver \"a=file:/r/x,mode=04000\": a mode is octal"},
        {"a=file:/r/x,mode=44", "deliver \"a=file:/r/x,mode=44\": a mode is octal"},
        {"a=file:/r/x,owner=root", "deliver \"a=file:/r/x,owner=root\": a mode is octal, such as "
                                   "0440, an owner a number or two, such as 1000:1000"},
        {"a=file:/r/x,owner=1:", "deliver \"a=file:/r/x,owner=1:\": a mode is octal"},
        {"a=file:/r/x,owner=:1", "deliver \"a=file:/r/x,owner=:1\": a mode is octal"},
        {"a=file:/r/x,owner=1:x", "deliver \"a=file:/r/x,owner=1:x\": a mode is octal"},
        {"a=file:/r/x,owner=4294967295", "deliver \"a=file:/r/x,owner=4294967295\": a mode"},
        {"a=template", "deliver \"a=template\" is not a=template:SOURCE:PATH"},
        {"a=template:/x", "deliver \"a=template:/x\" is not a=template:SOURCE:PATH"},
        {"a=template::/x", "deliver \"a=template::/x\" is not a=template:SOURCE:PATH"},
        {"a=env", "deliver \"a=env\" is not a=env:VARIABLE"},
        {"a=env:", "deliver \"a=env:\" is not a=env:VARIABLE"},
        {"a=env:2FA", "deliver \"a=env:2FA\" is not a=env:VARIABLE"},
        {"a=env:A-B", "deliver \"a=env:A-B\" is not a=env:VARIABLE"},
        {"a=env:A=B", "deliver \"a=env:A=B\" is not a=env:VARIABLE"},
    };
    want("a");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct delivery_plan plan = {0};
        ck_assert_msg(PLAN(&plan, NULL, rows[i][0]) == ERR_USAGE, "%s", rows[i][0]);
        ck_assert_msg(strstr(fault.detail, rows[i][1]) == fault.detail, "%s", fault.detail);
    }
}
END_TEST

START_TEST(wrong_pairs)
{
    want("db/main");
    want("db-main");
    struct delivery_plan plan = {0};
    ck_err(plan_of((const char *const[]){NULL}, NULL, &plan), ERR_USAGE);
    ck_assert_str_eq(fault.detail, "db/main and db-main give one variable, DB_MAIN_FILE");
    ck_ok(PLAN(&plan, NULL, "db/main=env:A"));
    delivery_plan_free(&plan);
    ck_err(PLAN(&plan, NULL, "db/main=env:DB_MAIN_FILE"), ERR_USAGE);
    ck_err(PLAN(&plan, NULL, "db/main=env:A", "db-main=env:A"), ERR_USAGE);
    ck_err(PLAN(&plan, NULL, "db/main=env:A", "db/main=memfd", "db/main=file:/x", "db-main=env:B"),
           ERR_USAGE);

    wanted.count = 0;
    want("db");
    want("db/main");
    ck_ok(plan_of((const char *const[]){NULL}, NULL, &plan));
    delivery_plan_free(&plan);
    ck_err(plan_of((const char *const[]){NULL}, "/d", &plan), ERR_USAGE);
    ck_assert_str_eq(fault.detail,
                     "/d/db and /d/db/main cannot both be files: one is the other, or its folder");
    ck_ok(PLAN(&plan, "/d", "db=memfd"));
    delivery_plan_free(&plan);
    ck_ok(PLAN(&plan, NULL, "db=file:/r/a", "db/main=file:/r/ab"));
    delivery_plan_free(&plan);
    ck_err(PLAN(&plan, NULL, "db=file:/r/a", "db/main=file:/r/a"), ERR_USAGE);
    ck_err(PLAN(&plan, NULL, "db=file:/r/a/b", "db/main=file:/r/a"), ERR_USAGE);
}
END_TEST

START_TEST(long_plan)
{
    want("a");
    struct delivery_plan plan = {0};
    char text[32];
    for (unsigned i = 0; i < DELIVERIES_MAX; i++) {
        snprintf(text, sizeof text, "a=env:V%u", i);
        ck_ok(delivery_plan_add(&plan, &wanted, text, &fault));
    }
    ck_err(delivery_plan_add(&plan, &wanted, "a=env:V", &fault), ERR_USAGE);
    ck_assert_str_eq(fault.detail, "more than 32 deliveries");
    ck_assert_uint_eq(plan.count, DELIVERIES_MAX);
    delivery_plan_free(&plan);
}
END_TEST

UNIT_MAIN("agent_delivery_plan", valid_default, valid_kinds, valid_template, wrong_texts,
          wrong_pairs, long_plan)
