using System.Numerics;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Models;

/// <summary>A compressed table's rows are those of its matrix, of whichever tiles the tokens are.</summary>
public sealed class TokenTableTests
{
    private const int Vocabulary = 300, Width = 100, PaddedWidth = 192; // ragged both ways, and narrower than the model's tiles

    public static TheoryData<RbeFormat, bool, TileTransform> Tables => new()
    {
        { RbeFormat.Sparse(300), true, TileTransform.Dct },
        { RbeFormat.Sparse(300, SupportRule.TopK), false, TileTransform.Haar },
        { RbeFormat.Quantized(4) with { Delta = RbeFormat.Sparse(64) }, true, TileTransform.WalshHadamard },
        { RbeFormat.Trellis(3), false, TileTransform.Cdf97 },
        { RbeFormat.Trellis(4) with { Delta = RbeFormat.Sparse(64, SupportRule.TopK) }, true, TileTransform.Dct },
        { RbeFormat.Seed(300), true, TileTransform.Dct },
        { RbeFormat.Sparse(64 * 64), false, TileTransform.None },
    };

    public static TheoryData<RbeFormat, int> Codes => new()
    {
        { RbeFormat.Quantized(2), 64 }, { RbeFormat.Quantized(3), 32 }, { RbeFormat.Quantized(4), 128 }, { RbeFormat.Quantized(5), 64 },
        { RbeFormat.Quantized(6), 32 }, { RbeFormat.Quantized(7), 128 }, { RbeFormat.Quantized(8), 64 },
        { RbeFormat.Trellis(2), 64 }, { RbeFormat.Trellis(5), 32 }, { RbeFormat.Trellis(6), 128 }, { RbeFormat.Trellis(8), 64 },
    };

    [Theory]
    [MemberData(nameof(Tables))]
    public void A_lookup_is_the_row(RbeFormat format, bool alphas, TileTransform transform)
    {
        RbeMatrix matrix = RbeCompressor.Compress(Numbers.Normal(Vocabulary * Width, 1), Vocabulary, Width,
            new RbeOptions { Format = format, Alphas = alphas, Transform = transform });
        float[] dense = matrix.ToDense();
        Check<double>(matrix, dense, 1e-6); // the values of the matrix are floats
        Check<float>(matrix, dense, 1e-5);
    }

    [Theory]
    [MemberData(nameof(Codes))]
    public void A_lookup_is_the_row_at_all_bits_and_tiles(RbeFormat format, int tile)
    {
        RbeMatrix matrix = RbeCompressor.Compress(Numbers.Normal(Vocabulary * Width, 1), Vocabulary, Width, new RbeOptions { Format = format, Tile = tile });
        float[] dense = matrix.ToDense();
        Check<double>(matrix, dense, 1e-6);
        Check<float>(matrix, dense, 1e-4); // in tiles of 32 the basis functions are much alike, and large alphas cancel
    }

    [Fact]
    public unsafe void A_row_has_the_same_bits_alone_and_among_others()
    {
        RbeMatrix matrix = RbeCompressor.Compress(Numbers.Normal(Vocabulary * Width, 1), Vocabulary, Width,
            new RbeOptions { Format = RbeFormat.Quantized(4) with { Delta = RbeFormat.Sparse(64) } });
        using ParameterVector<float> parameters = new();
        TokenTable<float> table = TokenTable<float>.Create(parameters, "table", matrix, Vocabulary, Width);
        parameters.Freeze();
        using Workspace<float> workspace = new(1);
        workspace.EnsureScratch(table.ScratchElements);
        int lanes = Panel<float>.WideLanes;
        int[] tokens = [.. Enumerable.Range(0, lanes).Select(lane => lane * 37 % Vocabulary)];
        using NativeBuffer<float> all = new(PaddedWidth * lanes), one = new(PaddedWidth * lanes);
        table.LookupChunk(tokens, lanes, all.Pointer, PaddedWidth, lanes, workspace.Scratch(0));
        for (int lane = 0; lane < lanes; lane++)
        {
            table.LookupChunk([tokens[lane]], 1, one.Pointer, PaddedWidth, lanes, workspace.Scratch(0));
            for (int f = 0; f < Width; f++) Assert.Equal(all.Span[(f * lanes) + lane], one.Span[f * lanes]);
        }
    }

    private static unsafe void Check<T>(RbeMatrix matrix, float[] dense, double tolerance)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        using ParameterVector<T> parameters = new();
        TokenTable<T> table = TokenTable<T>.Create(parameters, "table", matrix, Vocabulary, Width);
        parameters.Freeze();
        using Workspace<T> workspace = new(1);
        workspace.EnsureScratch(table.ScratchElements);
        int[] tokens = [0, 299, 64, 63, 299, 130, 7, 255, 256, 1];
        foreach (int width in (int[])[Panel<T>.LanesFor(1), Panel<T>.WideLanes])
        {
            int lanes = Math.Min(width, tokens.Length);
            using NativeBuffer<T> x = new(PaddedWidth * width);
            x.Span.Fill(T.One);
            table.LookupChunk(tokens.AsSpan(0, lanes), lanes, x.Pointer, PaddedWidth, width, workspace.Scratch(0));
            for (int f = 0; f < PaddedWidth; f++)
            {
                for (int lane = 0; lane < width; lane++)
                {
                    double right = f < Width && lane < lanes ? dense[(tokens[lane] * Width) + f] : 0;
                    Assert.Equal(right, double.CreateChecked(x.Span[(f * width) + lane]), right == 0 ? 0 : tolerance);
                }
            }
        }
    }
}
