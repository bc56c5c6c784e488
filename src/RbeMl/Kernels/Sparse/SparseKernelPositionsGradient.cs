using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// Coefficient gradients over single places, tile by tile. Partial sums of a batch of coefficients stay vectors over all chunks;
/// lanes are summed once, at the end, a vector of coefficients together.
/// </summary>
internal static unsafe class SparseKernelPositionsGradient
{
    private const int Batch = 512; // coefficients, a multiple of the lanes; rows of partials past the last coefficient are summed and not used
    private const int LargestLanes = 16;

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Gradient<TLanes>(SparsityPattern pattern, int tileRow, float* x, long xStride, float* g, long gStride, int chunks,
        int width, float* gradients)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[Batch * (LargestLanes + 1) * sizeof(float) + 64];
        float* partials = (float*)(((nint)memory + 63) & ~63), sums = partials + Batch * LargestLanes;
        SparsePositionOrder order = pattern.Rows!;
        nint block = (nint)pattern.Support.Tile * width;
        int places = pattern.Support.RunsPerTile;
        for (int j = 0; j < pattern.TileColumns; j++)
        {
            nint t = (nint)tileRow * pattern.TileColumns + j;
            int* starts = order.Starts + 3 * t;
            byte* across = order.Across + t * places;
            PositionStep* four = order.Steps + starts[0], two = order.Steps + starts[1], one = order.Steps + starts[2];
            while (true)
            {
                int fours = (int)Math.Min(Batch / 4, order.Steps + starts[1] - four);
                int twos = (int)Math.Min((Batch - 4 * fours) / 2, order.Steps + starts[2] - two);
                int ones = (int)Math.Min(Batch - 4 * fours - 2 * twos, order.Steps + starts[3] - one);
                if (fours + twos + ones == 0) break;
                float* partials2 = partials + 4 * fours * TLanes.Count, partials1 = partials2 + 2 * twos * TLanes.Count;
                for (int chunk = 0; chunk < chunks; chunk++)
                {
                    float* xs = x + chunk * xStride + j * block, gs = g + chunk * gStride + tileRow * block;
                    Fours<TLanes>(four, fours, across, xs, gs, width, chunk == 0, partials);
                    Twos<TLanes>(two, twos, across, xs, gs, width, chunk == 0, partials2);
                    Ones<TLanes>(one, ones, across, xs, gs, width, chunk == 0, partials1);
                }

                float* to = gradients + t * places;
                int used = 4 * fours + 2 * twos + ones;
                for (int k = 0; k < used; k += TLanes.Count) TLanes.Store(TLanes.SumRows(partials + k * TLanes.Count), sums + k);
                Add(four, fours, 4, sums, to);
                Add(two, twos, 2, sums + 4 * fours, to);
                Add(one, ones, 1, sums + 4 * fours + 2 * twos, to);
                four += fours;
                two += twos;
                one += ones;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add(PositionStep* step, int steps, int size, float* sums, float* gradients)
    {
        for (PositionStep* end = step + steps; step < end; step++)
        {
            for (int k = 0; k < size; k++) gradients[step->Entry + k] += *sums++;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Fours<TLanes>(PositionStep* step, int steps, byte* across, float* x, float* g, nint width, bool first, float* partials)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        for (PositionStep* end = step + steps; step < end; step++, partials += 4 * lanes)
        {
            nint e = step->Entry;
            float* gs = g + step->Line * width;
            float* x0 = x + across[e] * width, x1 = x + across[e + 1] * width, x2 = x + across[e + 2] * width, x3 = x + across[e + 3] * width;
            TLanes p0 = TLanes.Zero, p1 = TLanes.Zero, p2 = TLanes.Zero, p3 = TLanes.Zero;
            if (!first)
            {
                (p0, p1) = (TLanes.Load(partials), TLanes.Load(partials + lanes));
                (p2, p3) = (TLanes.Load(partials + 2 * lanes), TLanes.Load(partials + 3 * lanes));
            }

            for (nint lane = 0; lane < width; lane += lanes)
            {
                TLanes v = TLanes.Load(gs + lane);
                (p0, p1) = (TLanes.Fma(v, TLanes.Load(x0 + lane), p0), TLanes.Fma(v, TLanes.Load(x1 + lane), p1));
                (p2, p3) = (TLanes.Fma(v, TLanes.Load(x2 + lane), p2), TLanes.Fma(v, TLanes.Load(x3 + lane), p3));
            }

            TLanes.Store(p0, partials);
            TLanes.Store(p1, partials + lanes);
            TLanes.Store(p2, partials + 2 * lanes);
            TLanes.Store(p3, partials + 3 * lanes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Twos<TLanes>(PositionStep* step, int steps, byte* across, float* x, float* g, nint width, bool first, float* partials)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        for (PositionStep* end = step + steps; step < end; step++, partials += 2 * lanes)
        {
            nint e = step->Entry;
            float* gs = g + step->Line * width, x0 = x + across[e] * width, x1 = x + across[e + 1] * width;
            TLanes p0 = TLanes.Zero, p1 = TLanes.Zero;
            if (!first) (p0, p1) = (TLanes.Load(partials), TLanes.Load(partials + lanes));
            for (nint lane = 0; lane < width; lane += lanes)
            {
                TLanes v = TLanes.Load(gs + lane);
                (p0, p1) = (TLanes.Fma(v, TLanes.Load(x0 + lane), p0), TLanes.Fma(v, TLanes.Load(x1 + lane), p1));
            }

            TLanes.Store(p0, partials);
            TLanes.Store(p1, partials + lanes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Ones<TLanes>(PositionStep* step, int steps, byte* across, float* x, float* g, nint width, bool first, float* partials)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        for (PositionStep* end = step + steps; step < end; step++, partials += lanes)
        {
            float* gs = g + step->Line * width, x0 = x + across[step->Entry] * width;
            TLanes p0 = first ? TLanes.Zero : TLanes.Load(partials);
            for (nint lane = 0; lane < width; lane += lanes) p0 = TLanes.Fma(TLanes.Load(gs + lane), TLanes.Load(x0 + lane), p0);
            TLanes.Store(p0, partials);
        }
    }
}
