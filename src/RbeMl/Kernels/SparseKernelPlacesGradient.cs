using System.Runtime.CompilerServices;

namespace RbeMl.Kernels;

/// <summary>
/// Coefficient gradients over single places, tile by tile. Partial sums of a batch of coefficients stay vectors in the nearest cache over all chunks;
/// lanes are summed once, at the end, a vector of coefficients together.
/// </summary>
internal static unsafe class SparseKernelPlacesGradient
{
    private const int Batch = 256; // coefficients
    private const int LargestLanes = 16;

    [SkipLocalsInit]
    internal static void Gradient<TLanes>(SparsePattern pattern, int tileRow, float* x, long xStride, float* g, long gStride, int chunks, int width, float* gradients)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[Batch * (LargestLanes + 1) * sizeof(float) + 64];
        float* partials = (float*)(((nint)memory + 63) & ~63), sums = partials + Batch * LargestLanes;
        SparsePlaceOrder order = pattern.Rows!;
        nint block = (nint)pattern.Support.Tile * width;
        int places = pattern.Support.RunsPerTile;
        for (int j = 0; j < pattern.TileColumns; j++)
        {
            nint t = (nint)tileRow * pattern.TileColumns + j;
            byte* across = order.Across + t * places;
            for (int pass = 0; pass < 3; pass++)
            {
                int size = 4 >> pass;
                PlaceStep* step = order.Steps + order.Starts[3 * t + pass], end = order.Steps + order.Starts[3 * t + pass + 1];
                while (step < end)
                {
                    int steps = (int)Math.Min(Batch / size, end - step);
                    for (int chunk = 0; chunk < chunks; chunk++)
                    {
                        float* xs = x + chunk * xStride + j * block, gs = g + chunk * gStride + tileRow * block;
                        if (size == 4) Fours<TLanes>(step, steps, across, xs, gs, width, chunk == 0, partials);
                        else if (size == 2) Twos<TLanes>(step, steps, across, xs, gs, width, chunk == 0, partials);
                        else Ones<TLanes>(step, steps, across, xs, gs, width, chunk == 0, partials);
                    }

                    Add<TLanes>(step, steps, size, partials, sums, gradients + t * places);
                    step += steps;
                }
            }
        }
    }

    // gradients += the lanes of partials summed. Rows of partials past the last step are never used.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add<TLanes>(PlaceStep* step, int steps, int size, float* partials, float* sums, float* gradients)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (int k = 0; k < steps * size; k += TLanes.Count) TLanes.Store(TLanes.SumRows(partials + k * TLanes.Count), sums + k);
        for (int s = 0; s < steps; s++)
        {
            for (int k = 0; k < size; k++) gradients[step[s].Entry + k] += sums[s * size + k];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Fours<TLanes>(PlaceStep* step, int steps, byte* across, float* x, float* g, nint width, bool first, float* partials)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        for (PlaceStep* end = step + steps; step < end; step++, partials += 4 * lanes)
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
    private static void Twos<TLanes>(PlaceStep* step, int steps, byte* across, float* x, float* g, nint width, bool first, float* partials)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        for (PlaceStep* end = step + steps; step < end; step++, partials += 2 * lanes)
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
    private static void Ones<TLanes>(PlaceStep* step, int steps, byte* across, float* x, float* g, nint width, bool first, float* partials)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        for (PlaceStep* end = step + steps; step < end; step++, partials += lanes)
        {
            float* gs = g + step->Line * width, x0 = x + across[step->Entry] * width;
            TLanes p0 = first ? TLanes.Zero : TLanes.Load(partials);
            for (nint lane = 0; lane < width; lane += lanes) p0 = TLanes.Fma(TLanes.Load(gs + lane), TLanes.Load(x0 + lane), p0);
            TLanes.Store(p0, partials);
        }
    }
}
