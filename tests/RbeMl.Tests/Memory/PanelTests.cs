using RbeMl.Memory;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Memory;

public sealed unsafe class PanelTests
{
    [Fact]
    public void Rows_go_to_lanes_and_back_for_every_number_of_tokens()
    {
        using Panel<float> panel = new();
        using Panel<double> twin = new();
        for (int tokens = 1; tokens <= 257; tokens++)
        {
            int features = 1 + tokens % 37, padded = features + tokens % 3 * 5;
            RoundTrip(panel, tokens, features, padded, Numbers.Normal(tokens * features, tokens));
            RoundTrip(twin, tokens, features, padded, Array.ConvertAll(Numbers.Normal(tokens * features, tokens), v => (double)v));
        }

        RoundTrip(panel, 130, 768, 768, Numbers.Normal(130 * 768, 1));
    }

    [Theory]
    [InlineData(1, 16, 1)]
    [InlineData(16, 16, 1)]
    [InlineData(17, 32, 1)]
    [InlineData(33, 48, 1)]
    [InlineData(48, 48, 1)]
    [InlineData(49, 64, 1)]
    [InlineData(64, 64, 1)]
    [InlineData(65, 64, 2)]
    [InlineData(512, 64, 8)]
    public void Chunks_are_wide_unless_one_holds_all_tokens_in_fewer_lanes(int tokens, int width, int chunks)
    {
        using Panel<float> panel = new Panel<float>().Reshape(tokens, 10, 64);
        Assert.Equal((width, chunks, 64L * width), (panel.Lanes, panel.Chunks, panel.ChunkStride));
        Assert.Equal(tokens, Enumerable.Range(0, chunks).Sum(panel.TokensIn));
        Assert.Equal(0, (nint)panel.Pointer % 64);
    }

    [Fact]
    public void Memory_is_reused_and_cleared_on_request()
    {
        using Panel<float> panel = new Panel<float>().Reshape(100, 10, 16);
        long bytes = panel.AllocatedBytes;
        new Span<float>(panel.Pointer, (int)panel.Length).Fill(7);
        panel.Reshape(20, 10, 16);
        Assert.Equal(bytes, panel.AllocatedBytes);
        Assert.Equal(7, panel[3, 4]);
        panel.Reshape(20, 10, 16, clear: true);
        Assert.All(new Span<float>(panel.Pointer, (int)panel.Length).ToArray(), v => Assert.Equal(0, v));
    }

    [Fact]
    public void A_wrong_length_is_refused()
    {
        using Panel<float> panel = new Panel<float>().Reshape(3, 5, 16);
        string message = Assert.Throws<ShapeMismatchException>(() => panel.FromRowMajor(new float[14])).Message;
        Assert.Contains("3 x 5 = 15", message, StringComparison.Ordinal);
        Assert.Contains("14", message, StringComparison.Ordinal);
        Assert.Throws<ShapeMismatchException>(() => panel.ToRowMajor(new float[16]));
        Assert.Throws<ArgumentOutOfRangeException>(() => panel.Reshape(3, 5, 4));
        Assert.Throws<InvalidOperationException>(() => (nint)new Panel<float>().Pointer);
    }

    private static void RoundTrip<T>(Panel<T> panel, int tokens, int features, int padded, T[] rows)
        where T : unmanaged
    {
        // What the memory held before must not shine through the padding.
        panel.Reshape(tokens, features, padded);
        new Span<byte>(panel.Pointer, checked((int)panel.Length * sizeof(T))).Fill(0xFF);
        panel.FromRowMajor(rows);
        for (int chunk = 0; chunk < panel.Chunks; chunk++)
        {
            for (int f = 0; f < padded; f++)
            {
                for (int lane = 0; lane < panel.Lanes; lane++)
                {
                    int token = chunk * panel.Lanes + lane;
                    T expected = token < tokens && f < features ? rows[token * features + f] : default;
                    if (!panel.Chunk(chunk)[f * panel.Lanes + lane].Equals(expected))
                    {
                        Assert.Fail(FormattableString.Invariant($"{tokens} x {features}: token {token}, feature {f}"));
                    }
                }
            }
        }

        Assert.Equal(rows[^1], panel[tokens - 1, features - 1]);
        T[] back = new T[rows.Length];
        panel.ToRowMajor(back);
        Assert.Equal(rows, back);
    }
}
