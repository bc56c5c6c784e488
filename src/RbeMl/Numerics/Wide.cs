using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace RbeMl.Numerics;

/// <summary>A call of a kernel that is written over <see cref="ILanes{TSelf}"/>: its arguments. A struct, so that nothing is allocated.</summary>
internal interface ILaneWork
{
    /// <summary>Does it on lanes of the given kind.</summary>
    void Run<TLanes>()
        where TLanes : unmanaged, ILanes<TLanes>;
}

/// <summary>The one place that knows how wide this machine's vectors are, and that chooses the lanes of kernels.</summary>
internal static class Wide
{
    /// <summary>Lanes of the widest vectors: 16 with AVX-512, 8 with AVX2 (which .NET has with FMA only), else 4.</summary>
    internal static int Lanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.IsHardwareAccelerated ? 16 : Vector256.IsHardwareAccelerated ? 8 : 4;
    }

    /// <summary>Whether an instruction multiplies and adds with one rounding.</summary>
    internal static bool Fuses
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector256.IsHardwareAccelerated || AdvSimd.IsSupported;
    }

    /// <summary>Runs on the widest lanes. The JIT sees which these are, so that the call costs what a call of the kernel costs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Run<TWork>(TWork work)
        where TWork : struct, ILaneWork => Run(Lanes, work);

    /// <summary>Runs on so many lanes, which this machine has: for kernels whose data are laid out for a number, and for tests.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Run<TWork>(int lanes, TWork work)
        where TWork : struct, ILaneWork
    {
        if (lanes == 16) work.Run<Lanes512>();
        else if (lanes == 8) work.Run<Lanes256>();
        else if (lanes == 4) work.Run<Lanes128>();
        else work.Run<LanesScalar>();
    }
}
