using System.Text;
using RbeMl.Files;

namespace RbeMl.Tests.Files;

public sealed class SafetensorsSetTests : IDisposable
{
    private const string Sound = "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"a\":\"x.safetensors\",\"b\":\"y.safetensors\",\"c\":\"y.safetensors\"}}";
    private readonly TemporaryFolder _folder = new();

    public SafetensorsSetTests()
    {
        Write("x.safetensors", "a");
        Write("y.safetensors", "b", "c");
    }

    public void Dispose() => _folder.Dispose();

    private void Write(string file, params string[] names) =>
        SafetensorsWriter.Write(_folder.File(file), names.Select(name => SafetensorsSource.From(name, [name[0]], [1])));

    private SafetensorsSet Open(string index)
    {
        _folder.Write(SafetensorsSet.IndexName, index);
        return SafetensorsSet.Open(_folder.Path);
    }

    [Fact]
    public void Several_files_read_as_one()
    {
        using SafetensorsSet set = Open(Sound);
        Assert.Equal(["a", "b", "c"], set.Tensors.Select(t => t.Name));
        Assert.Equal(["x.safetensors", "y.safetensors"], set.Files.Select(Path.GetFileName));
        foreach (string name in set.Tensors.Select(t => t.Name)) Assert.Equal([name[0]], set.ReadFloats(name));
        Assert.Contains("no tensor \"d\"", Assert.Throws<RbeFileException>(() => set.ReadFloats("d")).Message);
    }

    [Fact]
    public void A_single_file_reads_the_same_and_is_preferred()
    {
        _folder.Write(SafetensorsSet.IndexName, "{}");
        Write(SafetensorsSet.SingleName, "a", "b", "c");
        using SafetensorsSet set = SafetensorsSet.Open(_folder.Path);
        Assert.Equal([(float)'b'], set.ReadFloats("b"));
        Assert.Equal([SafetensorsSet.SingleName], set.Files.Select(Path.GetFileName));
    }

    [Theory]
    [InlineData("{\"weight_map\":{\"a\":\"x.safetensors\",\"b\":\"y.safetensors\",\"c\":\"z.safetensors\"}}", "z.safetensors, which is not there")]
    [InlineData("{\"weight_map\":{\"a\":\"x.safetensors\",\"b\":\"x.safetensors\",\"c\":\"y.safetensors\"}}", "\"b\" in x.safetensors, which does not hold it")]
    [InlineData("{\"weight_map\":{\"a\":\"x.safetensors\",\"b\":\"y.safetensors\"}}", "does not list tensor \"c\" of y.safetensors")]
    [InlineData("{\"weight_map\":{\"a\":\"../x.safetensors\"}}", "no plain file name")]
    [InlineData("{\"weight_map\":{\"a\":\"\\u0000\"}}", "no plain file name")]
    [InlineData("{\"weight_map\":{\"a\":5}}", "no plain file name")]
    [InlineData("{\"weight_map\":[]}", "no weight_map")]
    [InlineData("{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}", "is no JSON")]
    [InlineData("[]", "no JSON object")]
    [InlineData("", "is no JSON")]
    public void An_index_that_disagrees_with_the_files_is_refused(string index, string message) =>
        Assert.Contains(message, Assert.Throws<RbeFileException>(() => Open(index)).Message);

    [Fact]
    public void A_tensor_in_two_files_is_refused()
    {
        Write("x.safetensors", "a", "c");
        Assert.Contains("tensor \"c\" is in two files, y.safetensors and x.safetensors", Assert.Throws<RbeFileException>(() => Open(Sound)).Message);
    }

    [Fact]
    public void A_folder_without_weights_says_what_is_missing()
    {
        string folder = Directory.CreateDirectory(_folder.File("empty")).FullName;
        Assert.Contains("holds neither model.safetensors", Assert.Throws<RbeFileException>(() => SafetensorsSet.Open(folder)).Message);
        File.WriteAllText(Path.Combine(folder, "pytorch_model.bin"), "");
        Assert.Contains("Convert its pytorch_model.bin", Assert.Throws<RbeFileException>(() => SafetensorsSet.Open(folder)).Message);
    }

    [Fact]
    public void A_damaged_index_is_refused_or_still_right()
    {
        int refused = 0;
        Mutations.Each(Encoding.UTF8.GetBytes(Sound), 1500, 12, bytes =>
        {
            File.WriteAllBytes(_folder.File(SafetensorsSet.IndexName), bytes);
            try
            {
                using SafetensorsSet set = SafetensorsSet.Open(_folder.Path);
                Assert.Equal(["a", "b", "c"], set.Tensors.Select(t => t.Name));
            }
            catch (RbeException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, 700, 1499);
    }
}
