/* docs/reference/schema.md: every query on the page runs and answers, every table is on the page, and the page's formula is the one
 * the store uses. */
#include "tests/store/scratch.h"

#include "tests/store/generate.h"

static struct gns_store *store;
static char *page;

static void begin(void)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	struct gns_error err = { "" };
	int64_t id;
	size_t size;
	scratch();
	o.steps = 2500;
	o.warnings = true;
	o.torch = true;
	o.streams = 2;
	o.device = true;
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	cr_assert_eq(gns_generate_run(store, &o, &id, &err), 0, "%s", err.text);
	gns_store_close(store);
	cr_assert_eq(gns_store_open_read(db, &store, &err), 0, "%s", err.text);
	page = contents(GNS_SOURCE_DIR "/docs/reference/schema.md", &size);
	cr_assert(page != NULL);
	page[size] = 0;
}

static void end(void)
{
	gns_store_close(store);
	free(page);
	no_scratch();
}

TestSuite(schema_page, .init = begin, .fini = end);

struct answer { int rows; double first; };

static int keep(void *arg, bool is_header, int n, const char *const *texts, const int *types)
{
	struct answer *answer = arg;
	if (!is_header && answer->rows++ == 0 && types[0] == SQLITE_FLOAT)
		answer->first = atof(texts[0]);
	return 0;
}

Test(schema_page, queries_run_and_answer)
{
	int queries = 0;
	double pooled = NAN;
	for (char *at = page; (at = strstr(at, "```sql\n")); queries++) {
		char *from = at + 7, *to = strstr(from, "```");
		cr_assert(to != NULL);
		char *sql = strndup(from, (size_t)(to - from));
		struct answer answer = { 0, NAN };
		struct gns_error err = { "" };
		cr_expect_eq(gns_store_sql(store, sql, keep, &answer, &err), 0, "%s\n%s", err.text, sql);
		cr_expect_gt(answer.rows, 0, "no answer to:\n%s", sql);
		if (strstr(sql, "size = 32 AND"))
			pooled = answer.first;
		free(sql);
		at = to + 3;
	}
	cr_expect_eq(queries, 14);
	double want = query(db, "SELECT sum((q_small-q_big)/(1.0/n_small-1.0/n_big)) / sum((n_big*q_big-n_small*q_small)/(n_big-n_small))"
			    " FROM grad WHERE run_id=1 AND step<=2496");
	cr_expect(fabs(pooled - want) < 1e-9 * want, "%g, %g", pooled, want);
}

static int on_page(void *arg, bool is_header, int n, const char *const *texts, const int *types)
{
	char quoted[128];
	snprintf(quoted, sizeof quoted, "`%s`", texts[0]);
	if (!is_header)
		cr_expect(strstr(page, quoted) != NULL, "%s is not on the page", quoted);
	return 0;
}

Test(schema_page, every_table_and_view_is_named)
{
	struct gns_error err = { "" };
	cr_expect_eq(gns_store_sql(store, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')", on_page, NULL, &err), 0);
}
