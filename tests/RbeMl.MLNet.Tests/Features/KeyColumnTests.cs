using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Models;

namespace RbeMl.MLNet.Tests.Features;

/// <summary>
/// Token ids as keys of every type: key k is id k - 1, a missing key is left out, and a key that the model does not know makes its row
/// missing.
/// </summary>
public sealed class KeyColumnTests : IDisposable
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly ModelBundle _bundle = TextRows.Bundle();

    public void Dispose() => _bundle.Dispose();

    [Theory]
    [InlineData(nameof(Keys.Bytes))]
    [InlineData(nameof(Keys.Shorts))]
    [InlineData(nameof(Keys.Ints))]
    [InlineData(nameof(Keys.Longs))]
    public void MissingKeysAreLeftOut(string column)
    {
        IDataView data = _ml.Data.LoadFromEnumerable([Of("red", 0), Of("red", 1), Of("a rose", 3), Of("", 0)]);
        float[][] actual = Features(data, column);
        string[] texts = ["red", "red", "a rose", ""];
        for (int i = 0; i < texts.Length; i++) Assert.Equal(TextRows.Expected(_bundle, texts[i]), actual[i]);
        Assert.False(float.IsNaN(actual[0][0]));
        Assert.True(float.IsNaN(actual[3][0]), "a row of missing keys alone has no token");
    }

    [Fact]
    public void KeysTheModelDoesNotKnowMakeTheirRowMissing()
    {
        ulong[] strays = [257, int.MaxValue, int.MaxValue + 1UL, uint.MaxValue + 98UL, 1UL << 63, (1UL << 63) + 1, ulong.MaxValue];
        IDataView data = _ml.Data.LoadFromEnumerable(strays.Select(s => new Keys { Longs = [98, s] }).Append(new Keys { Longs = [98, 256] }));
        float[][] actual = Features(data, nameof(Keys.Longs));
        Assert.All(actual[..^1], row => Assert.True(float.IsNaN(row[0])));
        Assert.All(actual[^1], v => Assert.True(float.IsFinite(v))); // id 255, the last
    }

    private float[][] Features(IDataView data, string column) => [.. _ml.Rbe.Featurize("F", column, _bundle).Fit(data).Transform(data).GetColumn<float[]>("F")];

    // The keys of a text's bytes, with a missing one before the byte at some place.
    private static Keys Of(string text, int missing)
    {
        List<int> keys = [.. text.Select(c => c + 1)];
        keys.Insert(missing, 0);
        return new Keys
        {
            Bytes = [.. keys.Select(k => (byte)k)],
            Shorts = [.. keys.Select(k => (ushort)k)],
            Ints = [.. keys.Select(k => (uint)k)],
            Longs = [.. keys.Select(k => (ulong)k)]
        };
    }

    private sealed class Keys
    {
        [KeyType(255)]
        public byte[] Bytes { get; set; } = [];

        [KeyType(300)]
        public ushort[] Shorts { get; set; } = [];

        [KeyType(300)]
        public uint[] Ints { get; set; } = [];

        [KeyType(ulong.MaxValue)]
        public ulong[] Longs { get; set; } = [];
    }
}
