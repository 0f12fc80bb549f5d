/* Runs in the formats of others. */
#ifndef GNS_PROFILER_EXPORT_EXPORT_H
#define GNS_PROFILER_EXPORT_EXPORT_H

#include <stdint.h>
#include <stdio.h>

#include "gnscope/store.h"

/* OpenMetrics 1.0 text: the state of each run as gauges and counters with the labels run, name and, where it has one, unit. What is
 * not known has no sample; an unresolved B_noise has only gnscope_b_noise_low. No timestamps: a collector sets the time it read. */
void gns_openmetrics(FILE *out, const struct gns_summary *runs, size_t n);

/* ---- TensorBoard: a file of TFRecords (tensorflow/core/lib/io/record_writer.h), each an Event (tensorflow/core/util/event.proto)
 * with one scalar ---- */

struct gns_tfevents { FILE *out; };
/* Writes the first event, which names the format's version and this program. */
void gns_tfevents_start(struct gns_tfevents *events, FILE *out, double wall_time);
/* Skipped when the value is not finite. The value is kept as a 32-bit float, as the format has it. */
void gns_tfevents_scalar(struct gns_tfevents *events, double wall_time, int64_t step, const char *tag, double value);

/* CRC-32C (Castagnoli), as iSCSI has it: crc of "123456789" is 0xe3069283. */
uint32_t gns_crc32c(const void *data, size_t size);

#endif
