/* Families and readable names of kernels, on names that profilers have shown of PyTorch, cuBLAS, cuDNN, CUTLASS, FlashAttention, Apex, NCCL,
 * Triton and llm.c (public issues, logs and traces; some with fewer arguments than they had). */
#include <criterion/criterion.h>
#include <string.h>

#include "collectors/cupti/kernel_names.h"
#include "gnscope/record.h"

struct known {
	enum gns_device_family family;
	const char *name;
};

static const struct known known[] = {
	{ GNS_DEVICE_MATMUL, "ampere_bf16_s1688gemm_bf16_128x128_ldg8_f2f_stages_32x1_nn" },
	{ GNS_DEVICE_MATMUL, "ampere_bf16_s16816gemm_bf16_256x128_ldg8_f2f_stages_32x3_nn" },
	{ GNS_DEVICE_MATMUL, "ampere_fp16_s16816gemm_fp16_64x128_sliced1x2_ldg8_f2f_stages_64x4_tn" },
	{ GNS_DEVICE_MATMUL, "ampere_sgemm_64x32_sliced1x4_tn" },
	{ GNS_DEVICE_MATMUL, "volta_sgemm_128x64_nn" },
	{ GNS_DEVICE_MATMUL, "nvjet_tst_256x128_64x4_1x2_h_bz_coopA_NNT" },
	{ GNS_DEVICE_MATMUL, "nvjet_tst_64x32_64x16_2x2_2cta_h_bz_splitK_TNT" },
	{ GNS_DEVICE_MATMUL, "nvjet_sm103_tss_32x64_64x16_4x1_v_bz_splitK_TNN" },
	{ GNS_DEVICE_MATMUL, "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_execute_segment_k_off_kernel__5x_cublas" },
	{ GNS_DEVICE_MATMUL, "void cutlass::Kernel<cutlass_80_tensorop_f16_s16816gemm_relu_f16_256x128_32x3_nn_align8>(cutlass_80_tensorop_f16_s16816gemm_relu_f16_256x128_32x3_nn_align8::Params)" },
	{ GNS_DEVICE_MATMUL, "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_128x64_16x6_tn_align4>(cutlass_80_tensorop_s1688gemm_128x64_16x6_tn_align4::Params)" },
	{ GNS_DEVICE_MATMUL, "void splitKreduce_kernel<float, float, float, float>(cublasSplitKParams<float>, float const*, float const*, float*, float const*, float const*, float const*)" },
	{ GNS_DEVICE_MATMUL, "void cublasLt::splitKreduce_kernel<32, 16, int, float, __nv_bfloat16, float>(cublasLt::cublasSplitKParams<float>, float const*)" },
	{ GNS_DEVICE_MATMUL, "void gemv2T_kernel_val<int, int, float, float, float, float, 128, 16, 4, 4, false, false, cublasGemvParams<float> >(cublasGemvParams<float>, float, float)" },
	{ GNS_DEVICE_MATMUL, "std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, float>(float)" },
	{ GNS_DEVICE_MATMUL, "void matmul_backward_bias_kernel9<__nv_bfloat16, false>(__nv_bfloat16*, __nv_bfloat16 const*, int, int, int)" },
	{ GNS_DEVICE_MATMUL, "triton_tem_fused_mm_3" },
	{ GNS_DEVICE_MATMUL, "triton_gemm_dot_1" },
	{ GNS_DEVICE_ATTENTION, "void flash_fwd_kernel<Flash_fwd_kernel_traits<(int)128, (int)128, (int)64, (int)4, (bool)0, (bool)0, cutlass::bfloat16_t>, false, true>(Flash_fwd_params)" },
	{ GNS_DEVICE_ATTENTION, "void flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel<Flash_bwd_kernel_traits<64, 128, 128, 8, 4, 4, 4, false, false, cutlass::half_t>, true>(Flash_bwd_params)" },
	{ GNS_DEVICE_ATTENTION, "void pytorch_flash::flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<64, 64, 256, 4> >(pytorch_flash::Flash_fwd_params)" },
	{ GNS_DEVICE_ATTENTION, "void pytorch_flash::flash_bwd_convert_dq_kernel<pytorch_flash::Flash_bwd_kernel_traits<64> >(pytorch_flash::Flash_bwd_params, int)" },
	{ GNS_DEVICE_ATTENTION, "fmha_cutlassF_bf16_aligned_64x128_rf_sm80(PyTorchMemEffAttention::AttentionKernel<cutlass::bfloat16_t, cutlass::arch::Sm80, true, 64, 128, 128, true, true>::Params)" },
	{ GNS_DEVICE_ATTENTION, "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7_64x128x128_4x1x1_kernel0_0" },
	{ GNS_DEVICE_ATTENTION, "void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2> > > >(flash::FlashAttnFwdSm90<int>::Params)" },
	{ GNS_DEVICE_ATTENTION, "_attn_bwd_dk_dv" },
	{ GNS_DEVICE_ATTENTION, "fmhaSm100fKernel_QkvBfloat16OBfloat16H128PagedKvDenseP16VarSeqQ8Kv128PersistentSwapsAbForGen" },
	{ GNS_DEVICE_CONV, "ampere_fp16_s16816cudnn_fp16_256x128_ldg8_relu_f2f_exp_small_nhwc_tn_v1" },
	{ GNS_DEVICE_CONV, "turing_fp16_s1688cudnn_fp16_256x128_ldg8_relu_filter1x1_stg8_interior_nchw_nn_v1" },
	{ GNS_DEVICE_CONV, "volta_scudnn_128x128_stridedB_splitK_xregs_large_nn_v1" },
	{ GNS_DEVICE_CONV, "maxwell_scudnn_winograd_128x128_ldg1_ldg4_relu_tile418n_nt" },
	{ GNS_DEVICE_CONV, "void cudnn::detail::implicit_convolve_sgemm<float, float, int=128, int=5, int=5, int=3, int=3, int=3, int=1, bool=1, bool=0, bool=0>(int, int, int, float const *)" },
	{ GNS_DEVICE_CONV, "void cudnn::detail::wgrad_alg1_engine<float, int=512, int=6, int=5, int=3, int=3, int=3, bool=1, bool=1>(int, int)" },
	{ GNS_DEVICE_CONV, "void cudnn::winograd::winograd3x3Kernel<float, float, int=4, int=1, int=8, bool=0>(cudnn::maxwell::winograd::KernelParams)" },
	{ GNS_DEVICE_CONV, "sm80_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc_tilesize128x128x64_stage3" },
	{ GNS_DEVICE_CONV, "sm80_xmma_wgrad_implicit_gemm_indexed_f16f16_f16f32_f32_nhwckrsc_nhwc" },
	{ GNS_DEVICE_CONV, "void cutlass_cudnn_infer::Kernel<cutlass_tensorop_f16_s16816fprop_optimized_f16_128x64_32x5_nhwc_align8>(cutlass_tensorop::Params)" },
	{ GNS_DEVICE_CONV, "void cutlass__5x_cudnn::Kernel<cutlass_tensorop_s1688wgrad_optimized_tf32_64x64_32x5_nhwc_align4>(int)" },
	{ GNS_DEVICE_CONV, "cask_cudnn::computeOffsetsKernel(cask_cudnn::ComputeOffsetsParams)" },
	{ GNS_DEVICE_CONV, "void nchwToNhwcKernel<__half, __half, float, true, false>(int, int)" },
	{ GNS_DEVICE_CONV, "void at::native::im2col_kernel<float>(long, float const*, long, long)" },
	{ GNS_DEVICE_NORM, "void cudnn::bn_fw_tr_1C11_kernel_NCHW<__half, float, 512, true, 1, true>(cudnnTensorStruct, __half const*)" },
	{ GNS_DEVICE_NORM, "void cudnn::detail::bn_bw_1C11_kernel_new<float, float, float2, int=512, bool=1, int=1>(float, float)" },
	{ GNS_DEVICE_NORM, "void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<float, float>(int, float, float const*)" },
	{ GNS_DEVICE_NORM, "void at::native::(anonymous namespace)::GammaBetaBackwardCUDAKernel<float, float>(long, long)" },
	{ GNS_DEVICE_NORM, "void at::native::(anonymous namespace)::RowwiseMomentsCUDAKernel<float>(long, float, float const*)" },
	{ GNS_DEVICE_NORM, "void at::native::batch_norm_transform_input_kernel<c10::Half, c10::Half, float, true, int>(int)" },
	{ GNS_DEVICE_NORM, "void cuApplyLayerNorm<float, float, c10::Half>(c10::Half*, float*, float*, float const*, int, int)" },
	{ GNS_DEVICE_NORM, "void cuComputeGradInput<float, float, c10::Half>(c10::Half const*, float const*, int, int)" },
	{ GNS_DEVICE_NORM, "void flashinfer::norm::RMSNormKernel<8u, __nv_bfloat16>(__nv_bfloat16*, unsigned int)" },
	{ GNS_DEVICE_NORM, "layernorm_forward_kernel6(__nv_bfloat16*, float*, float*, __nv_bfloat16 const*, int, int)" },
	{ GNS_DEVICE_NORM, "triton_per_fused_native_layer_norm_0" },
	{ GNS_DEVICE_ELEMENTWISE, "void at::native::vectorized_elementwise_kernel<4, at::native::BinaryFunctor<float, float, float, at::native::binary_internal::MulFunctor<float> >, std::array<char*, 3ul> >(int, std::array<char*, 3ul>)" },
	{ GNS_DEVICE_ELEMENTWISE, "void at::native::vectorized_elementwise_kernel<4, at::native::(anonymous namespace)::masked_fill_kernel(at::TensorIterator&, c10::Scalar const&)::{lambda()#1}::operator()() const::{lambda(long, bool)#1}, std::array<char*, 3ul> >(int)" },
	{ GNS_DEVICE_ELEMENTWISE, "void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}, std::array<char*, 2ul> >(int)" },
	{ GNS_DEVICE_ELEMENTWISE, "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::NormTwoOps<float, float, float>, unsigned int, float, 4> >(at::native::ReduceOp<float>)" },
	{ GNS_DEVICE_ELEMENTWISE, "void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl_nocast<at::native::AddFunctor<float> >(at::TensorIteratorBase&)::{lambda(int)#1}>(int)" },
	{ GNS_DEVICE_ELEMENTWISE, "void (anonymous namespace)::softmax_warp_forward<float, float, float, 10, false, false>(float*, float const*, int, int, int)" },
	{ GNS_DEVICE_ELEMENTWISE, "void at::native::<unnamed>::cunn_SoftMaxForward<(int)4, float, float, float>(float*, float const*, int)" },
	{ GNS_DEVICE_ELEMENTWISE, "triton_poi_fused_arange_ge_index_put_lift_fresh_0" },
	{ GNS_DEVICE_ELEMENTWISE, "triton_poi_fused_convolution_relu_4" },
	{ GNS_DEVICE_ELEMENTWISE, "triton_red_fused_add_mean_mul_pow_rsqrt_1" },
	{ GNS_DEVICE_ELEMENTWISE, "void gelu_backward_inplace_kernel(__nv_bfloat16*, __nv_bfloat16 const*)" },
	{ GNS_DEVICE_OPTIMIZER, "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<at::native::(anonymous namespace)::FusedOptimizerTensorListMetadata<4>, at::native::(anonymous namespace)::FusedAdamMathFunctor<float, 4, (at::native::ADAM_MODE)1, false>, float const*, double>(int)" },
	{ GNS_DEVICE_OPTIMIZER, "void multi_tensor_apply_kernel<TensorListMetadata<4>, AdamFunctor<float, float, int>, float, float, float, float, float, float, adamMode_t, float>(long, int volatile*)" },
	{ GNS_DEVICE_OPTIMIZER, "_ZN2at6native12_GLOBAL__N_125multi_tensor_apply_kernelINS1_18TensorListMetadataILi2EEENS1_13LpNormFunctorIfLNS0_8NormTypeE1EfLi1ELi1ELi0EEEJPfiEEEvT_T0_DpT1_" },
	{ GNS_DEVICE_OPTIMIZER, "void adamw_kernel3<__nv_bfloat16, __nv_bfloat16>(__nv_bfloat16*, float*, __nv_bfloat16*, float*, float*)" },
	{ GNS_DEVICE_OPTIMIZER, "void multi_tensor_apply_kernel<TensorListMetadata<4>, LAMBStage1Functor<float>, float>(long)" },
	{ GNS_DEVICE_COMM, "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<(unsigned long)4096>)" },
	{ GNS_DEVICE_COMM, "ncclDevKernel_ReduceScatter_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)" },
	{ GNS_DEVICE_COMM, "ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)" },
	{ GNS_DEVICE_COMM, "ncclKernel_AllReduce_RING_LL_Sum_float(ncclDevComm*, unsigned long, ncclWork*)" },
	{ GNS_DEVICE_COMM, "void deep_ep::intranode::dispatch<(int)8, (int)768, (int)8192>(int4 *, float *)" },
	{ GNS_DEVICE_COMM, "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 2>(vllm::RankData*)" },
	{ GNS_DEVICE_COMM, "multimem_all_reduce_kernel" },
	{ GNS_DEVICE_COPY, "void at::native::(anonymous namespace)::CatArrayBatchedCopy<float, unsigned int, 2, 64, 64>(float*)" },
	{ GNS_DEVICE_COPY, "memcpy32_post" },
	{ GNS_DEVICE_COPY, "permute_kernel(__nv_bfloat16*, __nv_bfloat16*, __nv_bfloat16*, __nv_bfloat16 const*, int, int, int, int)" },
	{ GNS_DEVICE_OWN, "gns_mark" },
	{ GNS_DEVICE_OWN, "gns_deliver" },
	{ GNS_DEVICE_OTHER, "fusion_218" },
	{ GNS_DEVICE_OTHER, "void my_lambda_kernel<int>(int)" },
	{ GNS_DEVICE_OTHER, "encoder_forward_kernel3(__nv_bfloat16*, int const*, __nv_bfloat16 const*, int, int, int)" },
};

Test(kernel_names, every_name_has_its_family)
{
	cr_assert_geq(sizeof known / sizeof *known, 60);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		enum gns_device_family family = gns_kernel_family(known[i].name);
		cr_expect_eq(family, known[i].family, "%.60s: %s, not %s", known[i].name, gns_device_family_name(family),
			     gns_device_family_name(known[i].family));
	}
}

Test(kernel_names, families_are_those_of_the_records)
{
	static const char *const names[] = GNS_DEVICE_FAMILIES;
	cr_assert_eq(sizeof names / sizeof *names, GNS_DEVICE_FAMILIES_N);
	for (int i = 0; i < GNS_DEVICE_FAMILIES_N; i++)
		cr_expect_str_eq(gns_device_family_name((enum gns_device_family)i), names[i]);
	cr_expect_str_eq(gns_device_family_name((enum gns_device_family)99), "gpu other");
}

/* A name keeps its family where nobody demangles it; names by c++filt's and CUPTI's own mangling. */
Test(kernel_names, mangled_names_have_families_too)
{
	cr_expect_eq(gns_kernel_family("_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_13BinaryFunctorIfffNS0_15binary_internal10MulFunctorIfEEEESt5arrayIPcLm3EEEEviT0_T1_"), GNS_DEVICE_ELEMENTWISE);
	cr_expect_eq(gns_kernel_family("_ZN7cutlass13device_kernelIN5flash20enable_sm90_or_laterINS1_16FlashAttnFwdSm90IiEEEEEEvT_"), GNS_DEVICE_ATTENTION);
	cr_expect_eq(gns_kernel_family("_ZN7cutlass7Kernel2I51cutlass_80_tensorop_bf16_s16816gemm_bf16_128x64_alignEEvNT_6ParamsE"), GNS_DEVICE_MATMUL);
	cr_expect_eq(gns_kernel_family("_Z12adamw_kernelPf"), GNS_DEVICE_OPTIMIZER);
	cr_expect_eq(gns_kernel_family("_ZN99999999999999999999"), GNS_DEVICE_OTHER);
}

static const char *pretty(const char *name)
{
	static char out[GNS_KERNEL_NAME_MAX];
	memset(out, '!', sizeof out);
	gns_kernel_pretty(name, out, sizeof out);
	cr_assert_lt(strnlen(out, sizeof out), sizeof out);
	return out;
}

Test(kernel_names, people_can_read_them)
{
	cr_expect_str_eq(pretty("ampere_sgemm_64x32_sliced1x4_tn"), "ampere_sgemm_64x32_sliced1x4_tn");
	cr_expect_str_eq(pretty("void adamw_kernel3<float, float>(float*, int)"), "adamw_kernel3<float, float>");
	cr_expect_str_eq(pretty("void (anonymous namespace)::softmax_warp_forward<float, 10, false>(float*, int)"),
			 "softmax_warp_forward<float, 10, false>");
	cr_expect_str_eq(pretty("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, X<int>, 4> >(at::native::ReduceOp<float>)"),
			 "at::native::reduce_kernel<512, 1, at::native::ReduceOp<...> >");
	cr_expect_str_eq(pretty("void f<(int)128, (bool)0>(P)"), "f<128, 0>");
	cr_expect_str_eq(pretty("std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int>(float)"), "internal::gemvx::kernel<int, int>");
	cr_expect_str_eq(pretty("[CUDA memcpy HtoD]"), "[CUDA memcpy HtoD]");
	cr_expect_str_eq(pretty("_Z3fooILi3EEvv"), "_Z3fooILi3EEvv");
}

Test(kernel_names, long_names_are_cut_in_the_middle)
{
	char name[5000];
	memset(name, 'a', sizeof name);
	memcpy(name + sizeof name - 6, "_tail", 6);
	const char *out = pretty(name);
	cr_expect_eq(strlen(out), GNS_KERNEL_NAME_MAX - 1);
	cr_expect(strstr(out, "...") != NULL);
	name[300] = 0;
	memcpy(name + 295, "_tail", 5);
	cr_expect_str_eq(pretty(name) + GNS_KERNEL_NAME_MAX - 6, "_tail");
}

Test(kernel_names, nothing_that_harms_a_terminal_comes_out)
{
	const char *out = pretty("evil\033[2J\n\x80name<\001>(");
	for (const char *c = out; *c; c++)
		cr_expect(*c >= 32 && *c < 127);
	static const char *const broken[] = { "", "(", "<", ">", ">>>>(", "void ", "f<<<<<<", "f)))", "a<(((", "_Z", "_ZN", "operator<(int)",
					      "(anonymous namespace)::", "<unnamed>::" };
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		pretty(broken[i]);
		gns_kernel_family(broken[i]);
	}
}
