using BenchmarkDotNet.Attributes;
using RbeMl.Codec;
using RbeMl.Kernels;

namespace RbeMl.Benchmarks.Kernels;

/// <summary>The kept coefficients of a 768 x 768 matrix, K = 300 a tile, on one chunk of 64 tokens.</summary>
[MemoryDiagnoser]
public unsafe class SparseBenchmarks : KernelData
{
    private const int Width = 768, Tile = 64, Tiles = Width / Tile;
    private SparsityPattern _pattern = null!;
    private float* _values;
    private float* _gradients;
    private float* _x;
    private float* _y;

    /// <summary>Length of the runs of kept places; 1 for single places.</summary>
    [Params(1, 16)]
    public int Run { get; set; }

    /// <summary>Allocates.</summary>
    [GlobalSetup]
    public void Setup()
    {
        RbeOptions options = new() { Format = RbeFormat.Sparse(300, Run == 1 ? SupportRule.Random(1) : SupportRule.Runs(Run)) };
        RbeMatrix matrix = RbeCompressor.CreateRandom(Width, Width, options, 0.02, 1);
        _pattern = Own(new SparsityPattern(matrix.Support!, Tiles, Tiles));
        _values = Values(matrix.Coefficients.Length);
        _gradients = Zeros(matrix.Coefficients.Length);
        _x = Values(Width * Lanes, 2);
        _y = Values(Width * Lanes, 3);
    }

    /// <summary>Frees.</summary>
    [GlobalCleanup]
    public void Cleanup() => Free();

    /// <summary>y += C x.</summary>
    [Benchmark]
    public void Multiply()
    {
        for (int row = 0; row < Tiles; row++) SparseKernel.Multiply(_pattern, _values, row, 0, Tiles, _x, _y + (row * Tile * Lanes), Lanes);
    }

    /// <summary>x += C' y.</summary>
    [Benchmark]
    public void MultiplyTransposed()
    {
        for (int column = 0; column < Tiles; column++)
        {
            SparseKernel.MultiplyTransposed(_pattern, _values, column, 0, Tiles, _y, _x + (column * Tile * Lanes), Lanes);
        }
    }

    /// <summary>Coefficient gradients.</summary>
    [Benchmark]
    public void Gradient()
    {
        for (int row = 0; row < Tiles; row++) SparseKernel.Gradient(_pattern, row, _x, Width * Lanes, _y, Width * Lanes, 1, Lanes, _gradients);
    }
}
