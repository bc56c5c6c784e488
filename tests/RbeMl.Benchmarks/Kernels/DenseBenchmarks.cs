using BenchmarkDotNet.Attributes;
using RbeMl.Kernels;
using RbeMl.Numerics;

namespace RbeMl.Benchmarks.Kernels;

/// <summary>Dense product, LayerNorm, GELU and AdamW at the sizes of one chunk of 64 tokens of GPT-2 small.</summary>
[MemoryDiagnoser]
public unsafe class DenseBenchmarks : KernelData
{
    private const int Width = 768, Hidden = 3072, Count = 1 << 20;
    private float* _x;
    private float* _y;
    private float* _z;
    private float* _statistics;
    private float* _vectors;
    private float* _weights;
    private float* _moments;

    /// <summary>Allocates.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _x = Values(Hidden * Lanes);
        _y = Values(Hidden * Lanes, 2);
        _z = Zeros(Hidden * Lanes);
        _statistics = Zeros(2 * Lanes);
        _vectors = Values(4 * Width, 3);
        _weights = Values(2 * Count, 4);
        _moments = Zeros(2 * Count);
    }

    /// <summary>Frees.</summary>
    [GlobalCleanup]
    public void Cleanup() => Free();

    /// <summary>[768, 768] x [768, 64].</summary>
    [Benchmark]
    public void Gemm768() => Gemm.Multiply(Width, Lanes, Width, _weights, Width, 1, _x, Lanes, _z, Lanes, accumulate: false);

    /// <summary>Statistics and application, [768][64].</summary>
    [Benchmark]
    public void LayerNormForward()
    {
        LayerNormKernel.Statistics(_x, _statistics, _statistics + Lanes, Width, Lanes, 1e-5f);
        LayerNormKernel.Apply(_x, _statistics, _statistics + Lanes, _vectors, _vectors + Width, _z, Width, Lanes);
    }

    /// <summary>dx, dgamma, dbeta, [768][64].</summary>
    [Benchmark]
    public void LayerNormBackward() =>
        LayerNormKernel.Backward(_x, _statistics, _statistics + Lanes, _vectors, _y, _z, _vectors + (2 * Width), _vectors + (3 * Width), Width, Lanes);

    /// <summary>GPT-2's GELU, [3072][64].</summary>
    [Benchmark]
    public void GeluForward() => GeluKernel.Forward(GeluKind.Tanh, _x, _z, Hidden * Lanes);

    /// <summary>Its derivative times a gradient.</summary>
    [Benchmark]
    public void GeluBackward() => GeluKernel.Backward(GeluKind.Tanh, _x, _y, _z, Hidden * Lanes);

    /// <summary>2^20 values.</summary>
    [Benchmark]
    public void AdamW() => OptimizerKernel.AdamW(_weights, _weights + Count, _moments, _moments + Count, Count, 1e-4f, 0.1f, 0.9f, 0.99f, 1e-8f, 1f, 1f, 1f);
}
