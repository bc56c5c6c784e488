using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Numerics;

/// <summary>Asks for a cache line that will be needed, where .NET can: on x86. Any address will do.</summary>
internal static unsafe class Prefetch
{
    /// <summary>Into the nearest cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Near(void* p)
    {
        if (Sse.IsSupported) Sse.Prefetch0(p);
    }

    /// <summary>Into the second.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Second(void* p)
    {
        if (Sse.IsSupported) Sse.Prefetch1(p);
    }
}
