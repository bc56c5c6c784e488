using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using RbeMl.Numerics;

namespace RbeMl.Memory;

/// <summary>
/// Activations of N tokens in the layout the kernels run on: <c>[chunk][feature][lane]</c>, a chunk being 64 tokens (16, 32 or 48 where
/// these hold all), so that a vector lane is a token. Features are padded to a multiple of the tile; padded features and lanes are zero.
/// </summary>
/// <typeparam name="T">float at run time, double in gradient checks.</typeparam>
internal sealed unsafe class Panel<T> : IDisposable
    where T : unmanaged
{
    /// <summary>Tokens of a full chunk.</summary>
    public const int WideLanes = 64;

    /// <summary>A panel of one chunk has as many lanes as hold its tokens, in steps of this.</summary>
    public const int LaneStep = 16;

    /// <summary>Fewest tokens of a panel whose chunks have <see cref="WideLanes"/>.</summary>
    public const int FewestWide = WideLanes - LaneStep + 1;

    private NativeBuffer<T>? _buffer;

    /// <summary>Number of tokens N.</summary>
    public int Tokens { get; private set; }

    /// <summary>Number of features, without padding.</summary>
    public int Features { get; private set; }

    /// <summary>Number of feature rows of a chunk.</summary>
    public int PaddedFeatures { get; private set; }

    /// <summary>Lanes of a chunk: 64, or less where one chunk holds all tokens.</summary>
    public int Lanes { get; private set; }

    /// <summary>Number of chunks.</summary>
    public int Chunks { get; private set; }

    /// <summary>Elements from one chunk to the next.</summary>
    public long ChunkStride => (long)PaddedFeatures * Lanes;

    /// <summary>Elements in use.</summary>
    public long Length => Chunks * ChunkStride;

    /// <summary>Bytes of native memory held.</summary>
    public long AllocatedBytes => _buffer?.AllocatedBytes ?? 0;

    /// <summary>First element of the first chunk.</summary>
    public T* Pointer => _buffer is null ? throw new InvalidOperationException("The panel has no shape yet: call Reshape first.") : _buffer.Pointer;

    /// <summary>Width of the chunks of <paramref name="tokens"/> tokens.</summary>
    public static int LanesFor(int tokens) => tokens >= WideLanes ? WideLanes : RoundUp(tokens, LaneStep);

    /// <summary>Elements of a panel of <paramref name="tokens"/> tokens and <paramref name="paddedFeatures"/> feature rows.</summary>
    public static long Elements(int tokens, int paddedFeatures) => (long)RoundUp(tokens, LanesFor(tokens)) * paddedFeatures;

    /// <summary>The smallest multiple of <paramref name="multiple"/> that is at least <paramref name="value"/>.</summary>
    public static int RoundUp(int value, int multiple) => checked((value + multiple - 1) / multiple * multiple);

    /// <summary>Gives the panel a shape, reusing its memory where that is large enough. Contents are undefined unless <paramref name="clear"/>.</summary>
    /// <param name="tokens">N, at least 1.</param>
    /// <param name="features">Features, at least 1.</param>
    /// <param name="paddedFeatures">Feature rows, at least <paramref name="features"/>.</param>
    /// <param name="clear">Whether to set everything to zero.</param>
    /// <returns>This panel.</returns>
    public Panel<T> Reshape(int tokens, int features, int paddedFeatures, bool clear = false)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokens, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(features, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(paddedFeatures, features);
        Tokens = tokens;
        Features = features;
        PaddedFeatures = paddedFeatures;
        Lanes = LanesFor(tokens);
        Chunks = ((tokens - 1) / Lanes) + 1;
        if (_buffer is null || _buffer.Length < Length)
        {
            _buffer?.Dispose();
            _buffer = new NativeBuffer<T>(Length);
        }
        else if (clear)
        {
            Clear();
        }

        return this;
    }

    /// <summary>First element of chunk <paramref name="chunk"/>: <c>[feature][lane]</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T* Chunk(int chunk) => Pointer + chunk * ChunkStride;

    /// <summary>Number of tokens in chunk <paramref name="chunk"/>; the other lanes are padding.</summary>
    public int TokensIn(int chunk) => Math.Min(Lanes, Tokens - chunk * Lanes);

    /// <summary>The element of one token and feature.</summary>
    public ref T this[int token, int feature] => ref Chunk(token / Lanes)[(long)feature * Lanes + token % Lanes];

    /// <summary>Sets everything in use to zero.</summary>
    public void Clear() => NativeMemory.Clear(Pointer, checked((nuint)(Length * sizeof(T))));

    /// <summary>Fills the panel from row-major <c>[tokens][features]</c>; padding becomes zero.</summary>
    /// <exception cref="ShapeMismatchException">The span's length is not tokens x features.</exception>
    public void FromRowMajor(ReadOnlySpan<T> rows)
    {
        Check(rows.Length);
        fixed (T* source = rows)
        {
            for (int chunk = 0; chunk < Chunks; chunk++)
            {
                T* panel = Chunk(chunk);
                int tokens = TokensIn(chunk);
                long used = (long)Features * Lanes;
                if (tokens < Lanes) NativeMemory.Clear(panel, (nuint)(ChunkStride * sizeof(T)));
                else NativeMemory.Clear(panel + used, (nuint)((ChunkStride - used) * sizeof(T)));
                Transpose(source + (long)chunk * Lanes * Features, tokens, Features, Features, panel, Lanes);
            }
        }
    }

    /// <summary>Writes the panel as row-major <c>[tokens][features]</c>.</summary>
    /// <exception cref="ShapeMismatchException">The span's length is not tokens x features.</exception>
    public void ToRowMajor(Span<T> rows)
    {
        Check(rows.Length);
        fixed (T* target = rows)
        {
            for (int chunk = 0; chunk < Chunks; chunk++)
            {
                Transpose(Chunk(chunk), Features, TokensIn(chunk), Lanes, target + (long)chunk * Lanes * Features, Features);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _buffer?.Dispose();
        _buffer = null;
    }

    // y[column][row] = x[row][column]
    private static void Transpose(T* x, int rows, int columns, long ldx, T* y, long ldy)
    {
        if (sizeof(T) == sizeof(float))
        {
            ElementwiseTranspose.Transpose((float*)x, rows, columns, ldx, (float*)y, ldy);
            return;
        }

        for (int r = 0; r < rows; r++)
        {
            for (int c = 0; c < columns; c++) y[c * ldy + r] = x[r * ldx + c];
        }
    }

    private void Check(int length)
    {
        if (length != (long)Tokens * Features)
        {
            throw new ShapeMismatchException(
                "row-major buffer", $"{Tokens} x {Features} = {(long)Tokens * Features} elements", $"{length}", "Pass a buffer of exactly that length.");
        }
    }
}
