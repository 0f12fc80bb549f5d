/* Saves and restores the training program's floating-point state around the shim's arithmetic. Its traps must not
 * fire on this arithmetic, its sticky flags must not change (numpy warns about them), and its rounding and
 * flush-to-zero modes must not change our results. Does not use libm. */
#ifndef GNS_PROFILER_SHIM_PROCESS_FPU_H
#define GNS_PROFILER_SHIM_PROCESS_FPU_H

#if defined(__x86_64__)

#define GNS_FPU_FLAGS 0x3fu
#define GNS_FPU_STANDARD 0x1f80u /* all traps masked, round to nearest, nothing flushed */

static inline unsigned gns_fpu_begin(void)
{
	unsigned theirs = __builtin_ia32_stmxcsr();
	if ((theirs & ~GNS_FPU_FLAGS) != GNS_FPU_STANDARD)
		__builtin_ia32_ldmxcsr(GNS_FPU_STANDARD);
	return theirs;
}

static inline void gns_fpu_end(unsigned theirs)
{
	if (__builtin_ia32_stmxcsr() != theirs)
		__builtin_ia32_ldmxcsr(theirs);
}

#else

static inline unsigned gns_fpu_begin(void) { return 0; }
static inline void gns_fpu_end(unsigned theirs) { (void)theirs; }

#endif
#endif
