/* The records that travel from a trainer to the recorder through shared memory.
 *
 * Every record is 128 bytes: a header of 8 and a body of 120. The version is that of the whole set; a
 * reader that meets another version refuses the ring with a message. Records are untrusted at the
 * reader: kinds, enums, counts and strings are checked there; strings need not be terminated.
 *
 * Records of one step are published together, the STEP record last: a reader that sees a STEP has all
 * of that step. Each record belongs to a stream: the steps of one optimizer, numbered from 0 in a process; a program
 * with two optimizers has two, with steps, weights and kernels of their own. PROC and COUNTER speak of stream 0's process. Absent numbers are NaN (double) or 0 where the field says so. Times are nanoseconds;
 * `*_ns` clock values are CLOCK_REALTIME unless said otherwise, durations come from CLOCK_MONOTONIC. */
#ifndef GNSCOPE_RECORD_H
#define GNSCOPE_RECORD_H

#include <stdint.h>

#define GNS_RECORD_VERSION 3u
#define GNS_STREAMS_MAX 8
#define GNS_RECORD_SIZE 128u

enum gns_record_kind {
	GNS_REC_NONE = 0,
	GNS_REC_PROC = 1,    /* once per process, first in its ring; again when rank, unit or samples become known */
	GNS_REC_PARAM,       /* a weight, before the first GRAD that names it; again when its name changes */
	GNS_REC_KERNEL,      /* a product's kind and shape, before the first KERNEL_STEP that names it */
	GNS_REC_GRAD,        /* one weight in one measured step */
	GNS_REC_KERNEL_STEP, /* one kernel in one measured step */
	GNS_REC_LOSS,        /* a loss that the trainer marked with gns_loss */
	GNS_REC_STEP,        /* one optimizer step, measured or not; closes the step's records */
	GNS_REC_COUNTER,     /* running total of one counter of one collector (why products were rejected, ...) */
	GNS_REC_EVENT,       /* something to tell the user, by name */
	GNS_REC_SETTING,     /* a setting of the training, when it is first known and when it changes */
	GNS_REC_DEVICE_STEP, /* how one device spent one step, from CUPTI; comes some time after its STEP */
	GNS_REC_LIBRARY,     /* a library that a collector has met in the process; again when more is known of it */
	GNS_REC_KINDS
};

enum gns_source { /* grad.source; names in the database: "gemm", "rank", "microstep", "consecutive", "torch", "shard" */
	GNS_SOURCE_GEMM = 1,    /* within the batch, b = 1, from the weight-gradient product */
	GNS_SOURCE_RANK,        /* before and after a reduction over ranks */
	GNS_SOURCE_MICROSTEP,   /* differences of the accumulated gradient */
	GNS_SOURCE_CONSECUTIVE, /* consecutive steps: biased, last resort */
	GNS_SOURCE_TORCH,       /* within the batch, b = 1, as PyTorch tells what a layer is; as good as GEMM */
	GNS_SOURCE_SHARD,       /* as RANK, where each rank gets a part of the reduced gradient: q_big is W = n_big / n_small times the
				   squared norm of this rank's part, so that the mean over all W ranks is that of the whole.
				   Fewer ranks than all say nothing */
	GNS_SOURCES
};

enum gns_dtype { GNS_F32 = 1, GNS_F64, GNS_F16, GNS_BF16, GNS_DTYPES };

/* What is counted as one: a row of a product, a sample, or, where only ranks can be told apart, the batch of a rank ("rank batches"). */
enum gns_unit { GNS_UNIT_ROWS = 0, GNS_UNIT_SAMPLES = 1, GNS_UNIT_RANK_BATCHES, GNS_UNITS };

enum gns_left_out { /* param.left_out; the words in the database are those of GNS_LEFT_OUT_NAMES */
	GNS_LEFT_NOT = 0,
	GNS_LEFT_TIED,       /* used more than once in a pass, where the uses cannot be told apart */
	GNS_LEFT_RECURRENT,  /* in a fused recurrent layer, whose inner products are not seen */
	GNS_LEFT_COMPILED,   /* in a compiled region, likewise */
	GNS_LEFT_SPARSE,     /* its gradient is sparse */
	GNS_LEFT_DEVICE,     /* not in the memory of this processor */
	GNS_LEFT_DTYPE,      /* an element type that the sketches do not know */
	GNS_LEFT_OPERATION,  /* enters an operation that no rule is known for */
	GNS_LEFT_USER_HOOK,  /* its gradient is changed by a hook of the trainer's */
	GNS_LEFT_SHARDED,    /* one rank holds a part of it (FSDP, ZeRO) */
	GNS_LEFT_UNUSED,     /* got no gradient so far */
	GNS_LEFT_CHECKPOINT, /* its operands are recomputed and could not be read */
	GNS_LEFT_SAMPLES,    /* no dimension of its operands is that of the samples */
	GNS_LEFT_OUTS
};
#define GNS_LEFT_OUT_NAMES { "", "tied", "recurrent", "compiled", "sparse", "device", "dtype", "operation", "user_hook", "sharded", \
			     "unused", "checkpoint", "samples" }

/* Flags of a step. A measured step has GRAD records; a refused one was to be measured but could not be
 * (GNS_REC_COUNTER says why); neither: not chosen for measuring. A start-up step, which may be either or neither: overhead_ns
 * is what it took to get in (loading a collector, finding the weights), and its duration says nothing of the other steps. */
#define GNS_STEP_MEASURED 1u
#define GNS_STEP_REFUSED 2u
#define GNS_STEP_STARTUP 4u

struct gns_rec_proc {
	uint32_t pid;
	int32_t rank;     /* 0 when there is one process */
	int32_t world;    /* number of ranks; 0 unknown */
	uint32_t unit;    /* enum gns_unit: what a "sample" is */
	uint32_t samples; /* samples per micro-step as told by the user; 0 not told */
	uint32_t every;   /* every K-th step is measured; 0: chosen by the budget */
	double budget_pct; /* NaN when every is given */
	uint64_t start_ns;
	char host[64];
};

struct gns_rec_param {
	uint32_t param_id; /* from 1, unique in the process */
	uint32_t dtype;    /* enum gns_dtype */
	uint64_t rows, cols; /* shape of the weight as stored, row-major; out x in for PyTorch's Linear */
	uint32_t excluded; /* enum gns_left_out: seen but left out, and why; 0: measured */
	uint16_t dims[4];  /* where the weight has another shape than (rows, cols): what cols is the product of, 0 ends; a
			      vector is rows x 1 with none, a convolution's (64, 3, 7, 7) is rows 64, cols 147, dims 3 7 7 */
	char name[80];
	uint32_t bucket; /* 1: what ranks reduce at once; its elements are those of other weights, told or not */
};

struct gns_rec_kernel {
	uint32_t kernel_id; /* from 1, unique in the process */
	uint16_t registers; /* a thread, of a kernel on a device; 0 not known */
	uint16_t block;     /* threads of a block, likewise */
	char family[16]; /* of products: "wgrad", "forward", "dgrad", "other"; "phase": a part of the step ("backward", "optimizer"), which
			    holds kernels of the other families; of kernels on a device: GNS_DEVICE_FAMILIES */
	char name[88];   /* "sgemm TN 512x128x784"; of a device: demangled, cut in the middle */
	uint32_t grid;      /* blocks, of its longest call on a device; 0 not known */
	uint32_t shared;    /* bytes of shared memory a block */
};
/* Never summed with the families of products: they are timed on the host, these on the device. */
#define GNS_DEVICE_FAMILIES { "gpu matmul", "gpu attention", "gpu conv", "gpu norm", "gpu elementwise", "gpu optimizer", "gpu comm", \
			      "gpu copy", "gpu gnscope", "gpu other" }

struct gns_rec_grad {
	uint64_t step;
	uint32_t param_id;
	uint32_t source; /* enum gns_source */
	uint64_t n_small, n_big; /* samples behind each q */
	uint64_t groups;         /* small groups averaged in q_small */
	double q_small, q_big;   /* squared norms of mean gradients, SCIENCE.md */
};

struct gns_rec_kernel_step {
	uint64_t step;
	uint32_t kernel_id;
	uint32_t calls;
	uint64_t total_ns, max_ns;
	double flops; /* of all calls */
};

struct gns_rec_loss {
	uint64_t step;
	double loss;
};

struct gns_rec_step {
	uint64_t step; /* from 1 */
	uint64_t start_ns;
	uint64_t dur_ns;      /* wall time from this step's start to the next's */
	uint64_t overhead_ns; /* of which spent in the shim, by its own clock */
	uint64_t samples;     /* in the step on this rank; 0 unknown */
	uint64_t rows;        /* of the tallest weight-gradient product */
	uint32_t micro_steps;
	uint32_t flags;       /* GNS_STEP_* */
	uint32_t params;      /* weights measured in this step */
	uint32_t every;       /* interval in force, rounded: one step in so many is measured */
	double lr;            /* learning rate of the optimizer's first group, NaN unknown */
};

struct gns_rec_counter {
	uint64_t value; /* total since the process began */
	char collector[24]; /* "blas", "shim" */
	char name[40];      /* "rejected_attention", "samples_not_dividing" */
	char text[48];      /* the last thing it happened to, for doctor; may be "" */
};

struct gns_rec_event {
	uint64_t time_ns;
	uint64_t step;
	char name[32]; /* "tied_weight" */
	char text[72];
};

struct gns_rec_setting {
	uint64_t step;  /* from which on */
	double value;   /* NaN when it is a text */
	char name[32];  /* "optimizer", "momentum", "beta1", "beta2", "weight_decay", "lr.1" (second group), "loss_scale", ... */
	char text[64];  /* "AdamW" */
};

/* compute + comm_exposed + copy_exposed + idle = wall: each moment of the device belongs to the first of these that was under way. Our own
 * kernels count as compute and are told apart, too. */
struct gns_rec_device_step {
	uint64_t step;
	uint32_t device;  /* ordinal of the driver */
	uint32_t kernels; /* launched, copies left out */
	uint64_t wall_ns; /* from this step's end of the step before to its own, by the device's clock */
	uint64_t compute_ns, comm_exposed_ns, copy_exposed_ns, idle_ns;
	uint64_t comm_ns, copy_ns; /* in all, overlapped or not */
	uint64_t own_ns;           /* of gnscope's kernels */
	uint64_t queue_ns;         /* sum over kernels of the time from launch to start; 0 not known */
	uint64_t dropped;          /* activity records lost in this step's window */
};

struct gns_rec_library {
	char name[16];    /* "cublas", "cublaslt", "cudnn", "nccl", "cupti", "cuda" */
	char version[16]; /* as the library tells it; "" not known */
	char path[80];    /* cut in the middle */
	char note[8];     /* "" or "owner": of CUPTI, who holds it is in an event "cupti_owner" */
};

struct gns_record {
	uint16_t kind; /* enum gns_record_kind */
	uint16_t version;
	uint32_t stream;
	union {
		struct gns_rec_proc proc;
		struct gns_rec_param param;
		struct gns_rec_kernel kernel;
		struct gns_rec_grad grad;
		struct gns_rec_kernel_step kernel_step;
		struct gns_rec_loss loss;
		struct gns_rec_step step;
		struct gns_rec_counter counter;
		struct gns_rec_event event;
		struct gns_rec_setting setting;
		struct gns_rec_device_step device_step;
		struct gns_rec_library library;
		unsigned char bytes[120];
	} u;
};

_Static_assert(sizeof(struct gns_record) == GNS_RECORD_SIZE, "a record is 128 bytes");

#endif
