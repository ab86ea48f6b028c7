"""Names of the bits of TDX_FEATURES0.

Source: Intel TDX module ABI specification, metadata field TDX_FEATURES0; arch/x86/include/asm/tdx.h has
the bits that the kernel reads.
"""

from __future__ import annotations

TD_PRESERVING = 1
NO_RBP_MOD = 18
UPDATE_COMPATIBILITY = 47

_NAMES = {
    0: "TD_MIGRATION",
    TD_PRESERVING: "TD_PRESERVING",
    2: "SERVICE_TD",
    3: "TDG_VP_RDWR",
    4: "RELAXED_MEM_MNG_CONCURRENCY",
    5: "CPUID_VIRT_GUEST_CTRL",
    6: "TDX_CONNECT",
    7: "TD_PARTITIONING",
    8: "LOCAL_ATTESTATION",
    9: "TD_ENTRY_ENHANCEMENTS",
    10: "HOST_PRIORITY_LOCKS",
    11: "CONFIG_IA32_ARCH_CAP",
    16: "PENDING_EPT_VIOLATION_V2",
    17: "FMS_CONFIG",
    NO_RBP_MOD: "NO_RBP_MOD",
    19: "L2_TLB_INVD_OPT",
    20: "TOPOLOGY_ENUM",
    21: "PARTITIONED_TD_MIGRATION",
    23: "CLFLUSH_BEFORE_ALLOC",
    24: "EVENT_FILTERING",
    25: "ICSSD",
    26: "FIXED_CTR12_PROF",
    27: "MAXPA_VIRT",
    28: "APX",
    29: "CPUID2_VIRT",
    30: "VE_REDUCTION",
    31: "ENHANCED_EVENT_FILTERING",
    32: "TDX_CONNECT_PARTITIONING",
    33: "MAXGPA_VIRT",
    36: "DYNAMIC_PAMT",
    37: "FATAL_DIAGNOSTICS",
    38: "PAGE_RELEASE",
    39: "NRX",
    40: "ENHANCED_INTR_STATE",
    41: "NON_BLOCKING_EXPORT",
    42: "PERF_MASK",
    43: "SCAN_EXPORT_RESTORE",
    44: "IMPORT_PAGE_STATUS",
    45: "ENHANCED_INTR_VIRTUALIZATION",
    46: "VE_INFO_INTR_STATE",
    UPDATE_COMPATIBILITY: "UPDATE_COMPATIBILITY",
    51: "ENHANCED_DEMOTE_INTERRUPTIBILITY",
}


def name(bit: int) -> str:
    """The name of a bit, or ``bit N`` for one without a name."""
    return _NAMES.get(bit, f"bit {bit}")


def has(features0: int, bit: int) -> bool:
    """Whether the bit is set."""
    return bool(features0 >> bit & 1)
