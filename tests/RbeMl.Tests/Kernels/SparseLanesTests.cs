using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class SparseLanesTests
{
    // Small integers: every sum is exact in any order.
    [Theory]
    [MemberData(nameof(LaneCases.All), MemberType = typeof(LaneCases))]
    public void Row_sums_are_in_row_order(int lanes)
    {
        using GuardedBuffer<float> rows = LaneCases.Guarded([.. Enumerable.Range(0, lanes * lanes).Select(i => (float)(i * i % 97))]);
        using GuardedBuffer<float> sums = new(lanes);
        Wide.Run(lanes, new SumRowsWork(rows.Pointer, sums.Pointer));
        for (int row = 0; row < lanes; row++) Assert.Equal(rows.Span.Slice(row * lanes, lanes).ToArray().Sum(), sums.Span[row]);
    }

    private readonly struct SumRowsWork(float* rows, float* sums) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => TLanes.Store(TLanes.SumRows(rows), sums);
    }
}
