using BenchmarkDotNet.Attributes;
using RbeMl.Codec;
using RbeMl.Kernels;

namespace RbeMl.Benchmarks.Kernels;

/// <summary>A frozen 768 x 768 matrix: decoding all of its tiles, decoding and multiplying with one chunk of 64 tokens, and products with a vector.</summary>
[MemoryDiagnoser]
public unsafe class FrozenBenchmarks : KernelData
{
    private const int Width = 768, Tile = 64, Tiles = Width / Tile;
    private readonly float[] _coefficients = new float[Tile * Tile];
    private FrozenTiles _frozen = null!;
    private float* _x;
    private float* _y;
    private float* _scratch;

    /// <summary>Quantised or trellis-coded, the latter by rows or, as where it is calibrated, by columns.</summary>
    [Params("quantized2", "quantized3", "quantized4", "quantized5", "quantized6", "quantized7", "quantized8", "trellis4", "trellis4-columns")]
    public string Format { get; set; } = "";

    /// <summary>Compresses.</summary>
    [GlobalSetup]
    public void Setup()
    {
        RbeFormat format = Format is ['q', .., char bits] ? RbeFormat.Quantized(bits - '0') : RbeFormat.Trellis(4);
        _frozen = RbeCompressor.Compress(new ReadOnlySpan<float>(Values(Width * Width), Width * Width), Width, Width, new RbeOptions { Format = format }).Base!;
        if (Format == "trellis4-columns")
        {
            _frozen = new TrellisTiles(Tile, _frozen.TileCount, 4, TrellisScan.ColumnMajor, _frozen.Scales.AsSpan(), _frozen.Codes);
        }

        _frozen.PrepareVectors();
        _x = Values(Width * Lanes, 2);
        _y = Zeros(Width * Lanes);
        _scratch = Zeros(Tile * Tile);
    }

    /// <summary>Frees.</summary>
    [GlobalCleanup]
    public void Cleanup() => Free();

    /// <summary>All tiles.</summary>
    [Benchmark]
    public void Decode()
    {
        for (int tile = 0; tile < _frozen.TileCount; tile++) _frozen.Dequantize(tile, _coefficients);
    }

    /// <summary>y += Q x of one token.</summary>
    [Benchmark]
    public void MultiplyVector()
    {
        for (int row = 0; row < Tiles; row++) _frozen.MultiplyVector(row * Tiles, Tiles, _x, _y + (row * Tile), _scratch);
    }

    /// <summary>y += Q x.</summary>
    [Benchmark]
    public void Multiply()
    {
        for (int row = 0; row < Tiles; row++) QuantizedKernel.Multiply(_frozen, Tiles, row, 0, Tiles, _x, _y + (row * Tile * Lanes), Lanes, _scratch);
    }
}
