/* The trainer's floating-point state around our own arithmetic: its traps must not fire on it, its sticky flags must not show it
 * (numpy warns of what it finds there), its rounding and flushing must not bend it. Nothing here links the mathematics library. */
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
