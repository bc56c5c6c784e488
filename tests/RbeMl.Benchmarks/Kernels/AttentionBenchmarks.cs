using BenchmarkDotNet.Attributes;
using RbeMl.Kernels;

namespace RbeMl.Benchmarks.Kernels;

/// <summary>Causal attention of one head of width 64.</summary>
[MemoryDiagnoser]
public unsafe class AttentionBenchmarks : KernelData
{
    private const int HeadWidth = 64;
    private AttentionProblem<float> _problem;

    /// <summary>Queries and keys.</summary>
    [Params(64, 512)]
    public int Length { get; set; }

    /// <summary>Allocates; the backward needs what a forward leaves.</summary>
    [GlobalSetup]
    public void Setup()
    {
        long count = (long)HeadWidth * Length;
        _problem = new AttentionProblem<float>
        {
            HeadWidth = HeadWidth,
            Queries = Length,
            Keys = Length,
            QueryStride = Length,
            KeyStride = Length,
            Causal = true,
            Scale = 1 / MathF.Sqrt(HeadWidth),
            Q = Values(count, 1),
            K = Values(count, 2),
            V = Values(count, 3),
            Output = Zeros(count),
            RowStatistics = Zeros(2 * Length),
            OutputGradient = Values(count, 4),
            QGradient = Zeros(count),
            KGradient = Zeros(count),
            VGradient = Zeros(count),
        };
        Forward();
    }

    /// <summary>Frees.</summary>
    [GlobalCleanup]
    public void Cleanup() => Free();

    /// <summary>Output and row statistics.</summary>
    [Benchmark]
    public void Forward() => AttentionKernel.Forward(_problem);

    /// <summary>Gradients of queries, keys and values.</summary>
    [Benchmark]
    public void Backward() => AttentionKernel.Backward(_problem);
}
