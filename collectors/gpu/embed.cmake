# -DSOURCE=binary -DOUTPUT=file.c: the bytes as gns_cuda_image. With -DSYMBOL=name as `name`, without a size.
file(READ ${SOURCE} bytes HEX)
string(LENGTH "${bytes}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
if(SYMBOL)
  file(WRITE ${OUTPUT} "extern const unsigned char ${SYMBOL}[];\n_Alignas(64) const unsigned char ${SYMBOL}[${size}] = {\n${bytes}\n};\n")
  return()
endif()
file(WRITE ${OUTPUT} "#include \"collectors/gpu/image.h\"
_Alignas(64) const unsigned char gns_cuda_image[${size}] = {\n${bytes}\n};
const size_t gns_cuda_image_size = ${size};
__attribute__((used)) const char gns_cuda_note[] = GNS_CUDA_NOTE \"${ARCHITECTURES}\";\n")
