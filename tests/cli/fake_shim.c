/* A library that can be preloaded and does nothing: the program's tests do not depend on the real one. */
extern int gns_fake_shim;
__attribute__((visibility("default"))) int gns_fake_shim = 1;
