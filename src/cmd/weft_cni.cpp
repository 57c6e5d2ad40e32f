// weft-cni: the CNI plugin; everything is in src/cni.
#include "cni/main.h"

int main() { return weft::cni::cni_main(); }
