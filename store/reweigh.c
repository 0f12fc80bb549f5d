/* A store of version 3, whose sums knew no weights: every run's roll-ups are made again from its raw rows. Where those of single weights and
 * kernels were thinned away, the old sums of their blocks are taken times the mean weight of the block's steps. */
#include "store/internal.h"

static const char before[] =
	"INSERT INTO rollup(run_id,size,block,loss_count,loss_sum) SELECT run_id,size,block,loss_count,loss_sum FROM old_rollup "
	"WHERE loss_count<>0 OR loss_sum<>0; DROP TABLE old_rollup; UPDATE run SET rolled_step=0;"
	"UPDATE step SET weight=1 WHERE s IS NOT NULL AND g2 IS NOT NULL AND rank IN (SELECT rank FROM rank WHERE rank.run_id=step.run_id AND pooled)";

static const char after[] =
	"CREATE TEMP TABLE block_weight AS SELECT s.run_id,(s.step-1)/256 AS block,avg(s.weight) AS w FROM step s JOIN run USING (run_id) "
	"WHERE s.weight IS NOT NULL AND s.step<=run.thinned_step GROUP BY 1,2;"
	"INSERT OR REPLACE INTO rollup_param(run_id,size,block,param_id,source,first_step,last_step,count,weight,weight2,q_small,q_big,n_big,"
	"s,g2,ss,sg,gg) SELECT o.run_id,256,o.block,param_id,source,first_step,last_step,count,w*count,w*w*count,w*q_small,w*q_big,w*n_big,"
	"w*s,w*g2,w*ss,w*sg,w*gg FROM old_rollup_param o JOIN temp.block_weight b ON b.run_id=o.run_id AND b.block=o.block WHERE o.size=256;"
	"INSERT OR REPLACE INTO rollup_kernel(run_id,size,block,kernel_id,count,calls,total_ns,max_ns,flops) "
	"SELECT o.run_id,256,o.block,kernel_id,count,w*calls,w*total_ns,max_ns,w*flops FROM old_rollup_kernel o "
	"JOIN temp.block_weight b ON b.run_id=o.run_id AND b.block=o.block WHERE o.size=256;"
	"INSERT OR REPLACE INTO rollup_param(run_id,size,block,param_id,source,first_step,last_step,count,weight,weight2,q_small,q_big,n_big,"
	"s,g2,ss,sg,gg) SELECT r.run_id,32768,r.block/128,param_id,source,min(first_step),max(last_step),sum(count),sum(weight),sum(weight2),"
	"sum(q_small),sum(q_big),sum(n_big),sum(s),sum(g2),sum(ss),sum(sg),sum(gg) FROM rollup_param r JOIN run USING (run_id) "
	"WHERE r.size=256 AND r.block/128<(run.rolled_step-1)/32768 GROUP BY 1,3,4,5;"
	"INSERT OR REPLACE INTO rollup_kernel(run_id,size,block,kernel_id,count,calls,total_ns,max_ns,flops) "
	"SELECT r.run_id,32768,r.block/128,kernel_id,sum(count),sum(calls),sum(total_ns),max(max_ns),sum(flops) FROM rollup_kernel r "
	"JOIN run USING (run_id) WHERE r.size=256 AND r.block/128<(run.rolled_step-1)/32768 GROUP BY 1,3,4;"
	"DROP TABLE temp.block_weight; DROP TABLE old_rollup_param; DROP TABLE old_rollup_kernel";

/* As if its steps came again, all ranks of each at once. */
static int run_again(struct gns_store *store, int64_t run_id)
{
	struct gns_run *run = gns_writer_run(store, run_id);
	int rc = run ? gns_run_load(store, run) : SQLITE_NOMEM;
	if (rc == SQLITE_OK)
		rc = gns_run_finish_pending(store, run, true);
	if (rc == SQLITE_OK)
		rc = gns_run_weigh_newest(store, run, 0);
	if (rc == SQLITE_OK)
		rc = gns_run_flush(store, run);
	int64_t thinned = gns_sql_int(store, GNS_SQL_RUN_THINNED, 0, "i", run_id);
	return rc == SQLITE_OK ? gns_sql_run(store, GNS_SQL_THIN_ESTIMATE, "iii", run_id, (int64_t)0, thinned) : rc;
}

int gns_store_reweigh(struct gns_store *store)
{
	if (sqlite3_exec(store->db, before, NULL, NULL, NULL) != SQLITE_OK)
		return sqlite3_errcode(store->db);
	int rc = SQLITE_OK;
	for (int64_t run_id = 0; rc == SQLITE_OK && (run_id = gns_sql_int(store, GNS_SQL_RUN_NEXT, 0, "i", run_id)) > 0;)
		rc = run_again(store, run_id);
	store->writer->stale = true;
	for (int i = 0; i < GNS_SQL_COUNT; i++)
		if (store->stmt[i])
			sqlite3_reset(store->stmt[i]);
	return rc == SQLITE_OK ? sqlite3_exec(store->db, after, NULL, NULL, NULL) : rc;
}
