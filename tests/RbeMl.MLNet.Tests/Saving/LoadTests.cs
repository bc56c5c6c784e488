using System.IO.Compression;
using Microsoft.ML;
using RbeMl.MLNet.Tests.Blocks;
using RbeMl.Tests.Files;

namespace RbeMl.MLNet.Tests.Saving;

/// <summary>A damaged model says what is wrong, whoever wrapped the reason.</summary>
public sealed class LoadTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly MLContext _ml = new(seed: 1);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void OfAFileAndOfAStream()
    {
        string path = Saved();
        float[][] expected = [.. Enumerable.Range(0, 12).Select(i => BlockRows.Expected(BlockRows.Activations(i)))];
        ITransformer ofFile = new MLContext().Rbe.Load(path, out DataViewSchema? schema);
        Assert.Equal(["Id", "X", "Mask"], schema!.Select(c => c.Name));
        Assert.Equal(expected, BlockRows.Column(ofFile.Transform(BlockRows.Fixed(_ml)), "Y"));

        using MemoryStream stream = new(File.ReadAllBytes(path));
        Assert.Equal(expected, BlockRows.Column(new MLContext().Rbe.Load(stream, out _).Transform(BlockRows.Fixed(_ml)), "Y"));
        Assert.True(stream.CanRead, "the stream was closed");
    }

    [Fact]
    public void ADamagedComponentIsNamed()
    {
        string path = Saved();
        using (ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Update))
        {
            using Stream bytes = zip.Entries.Single(e => e.Name == "Rbe.bin").Open();
            bytes.Position = bytes.Length / 2;
            int value = bytes.ReadByte();
            bytes.Position--;
            bytes.WriteByte((byte)(value ^ 1));
        }

        // ML.NET's own way hides it.
        Assert.IsNotType<RbeFileException>(Assert.ThrowsAny<Exception>(() => new MLContext().UseRbe().Model.Load(path, out _)));
        RbeFileException error = Assert.Throws<RbeFileException>(() => new MLContext().Rbe.Load(path, out _));
        Assert.Contains("checksum", error.Message, StringComparison.Ordinal);
        Assert.Equal("RbeBlock", error.Path);
        Assert.Equal(error.Message, Assert.Throws<RbeFileException>(() => new MLContext().Rbe.Load(new MemoryStream(File.ReadAllBytes(path)), out _)).Message);
    }

    [Fact]
    public void AnyDamageIsOfOneType()
    {
        byte[] whole = File.ReadAllBytes(Saved());
        MLContext ml = new();
        int refused = 0;
        for (int i = 0; i < whole.Length; i += Math.Max(1, whole.Length / 60))
        {
            byte[] flipped = [.. whole];
            flipped[i] ^= 0x10;
            try
            {
                ml.Rbe.Load(new MemoryStream(flipped), out _); // bytes that nobody reads, as a date
            }
            catch (RbeException)
            {
                refused++;
            }

            Assert.Throws<RbeFileException>(() => ml.Rbe.Load(new MemoryStream(whole[..i]), out _));
        }

        Assert.InRange(refused, 20, int.MaxValue);
    }

    [Fact]
    public void WhatIsNoModelIsRefused()
    {
        string missing = _folder.File("none.zip"), text = _folder.Write("text.zip", "text");
        Assert.Contains(missing, Assert.Throws<RbeFileException>(() => _ml.Rbe.Load(missing, out _)).Message);
        Assert.Contains(text, Assert.Throws<RbeFileException>(() => _ml.Rbe.Load(text, out _)).Message);
        Assert.Throws<RbeFileException>(() => _ml.Rbe.Load(_folder.Path, out _));
        Assert.Throws<ArgumentNullException>(() => _ml.Rbe.Load((string)null!, out _));
        Assert.Throws<ArgumentNullException>(() => _ml.Rbe.Load((Stream)null!, out _));
    }

    private string Saved()
    {
        IDataView data = BlockRows.Fixed(_ml);
        string path = _folder.File("model.zip");
        ITransformer model = _ml.Transforms.CopyColumns("Copy", "X")
            .Append(_ml.Rbe.TransformerBlock("Y", "Copy", BlockRows.Config, BlockRows.Weights)).Fit(data);
        _ml.Rbe.Save(model, data.Schema, path);
        return path;
    }
}
