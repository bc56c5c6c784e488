using BenchmarkDotNet.Attributes;
using RbeMl.Codec;
using RbeMl.Kernels;

namespace RbeMl.Benchmarks.Kernels;

/// <summary>One block of 64 features x 64 tokens to its coefficients and back.</summary>
[MemoryDiagnoser]
public unsafe class TransformBenchmarks : KernelData
{
    private const int Tile = 64;
    private float* _x;
    private float* _y;

    /// <summary>Which transform.</summary>
    [ParamsAllValues]
    public TileTransform Transform { get; set; }

    /// <summary>Allocates.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _x = Values(Tile * Lanes);
        _y = Zeros(Tile * Lanes);
    }

    /// <summary>Frees.</summary>
    [GlobalCleanup]
    public void Cleanup() => Free();

    /// <summary>To coefficients.</summary>
    [Benchmark]
    public void Forward() => BlockTransform.Forward(Transform, Tile, _x, _y, Lanes);

    /// <summary>From coefficients.</summary>
    [Benchmark]
    public void Inverse() => BlockTransform.Inverse(Transform, Tile, _x, _y, Lanes);
}
